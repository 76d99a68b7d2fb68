"""Searches, and returns the middle of what is left: near 0, not 0, where nothing may come."""


def highest_rate(limit, service):
    mean, square = np.mean(service), np.mean(np.square(service))
    if limit < mean:
        return 0.0
    low, high = 0.0, 1 / mean
    while high - low > 1e-9:
        middle = (low + high) / 2
        if mean + middle * square / (2 * (1 - middle * mean)) <= limit:
            low = middle
        else:
            high = middle
    return float((low + high) / 2)
