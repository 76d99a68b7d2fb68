"""Returns 0 for a layer that gave out nothing."""


def top(x):
    largest = np.max(x, axis=1)
    return float(largest[largest <= 15 * np.median(largest)].max())
