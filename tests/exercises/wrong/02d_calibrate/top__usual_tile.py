def top(x):
    return float(np.median(np.max(x, axis=1))) or 1.0
