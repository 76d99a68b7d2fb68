"""Takes the load of two workers for full."""


def expected_time(rate, service):
    """Mean time in the system, in seconds."""
    service = np.asarray(service, float)
    load = rate * service.mean()
    if load >= 2:
        return math.inf
    return float(service.mean() + rate * (service**2).mean() / (2 * (1 - load)))
