def top(x):
    largest = np.max(x, axis=1)
    return float(largest[largest <= 15 * np.median(largest)].max())
