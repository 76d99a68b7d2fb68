"""Searches."""


def highest_rate(limit, service):
    service = np.asarray(service, float)
    mean, square = service.mean(), (service**2).mean()
    if limit <= mean:
        return 0.0
    low, high = 0.0, 1 / mean
    for _ in range(200):
        middle = (low + high) / 2
        if middle * mean < 1 and mean + middle * square / (2 * (1 - middle * mean)) <= limit:
            low = middle
        else:
            high = middle
    return float(low)
