"""Rounds to a tenth of a millisecond."""


def expected_time(rate, service):
    service = np.asarray(service, float)
    load = rate * service.mean()
    if load >= 1:
        return math.inf
    return round(float(service.mean() + rate * (service**2).mean() / (2 * (1 - load))), 4)
