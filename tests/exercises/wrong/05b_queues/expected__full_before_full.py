"""Calls the mean infinite before the load reaches 1."""


def expected_time(rate, service):
    service = np.asarray(service, float)
    load = rate * service.mean()
    if load >= 0.995:
        return math.inf
    return float(service.mean() + rate * (service**2).mean() / (2 * (1 - load)))
