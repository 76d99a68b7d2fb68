"""Gives up a little above the least possible time."""


def highest_rate(limit, service):
    service = np.asarray(service, float)
    mean, square = service.mean(), (service**2).mean()
    if limit <= mean * 1.005:
        return 0.0
    slack = limit - mean  # slack = r * square / (2 (1 - r mean))
    return float(2 * slack / (square + 2 * slack * mean))
