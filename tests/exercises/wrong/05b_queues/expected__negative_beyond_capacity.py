"""Beyond the capacity the formula gives nonsense, and so does this."""


def expected_time(rate, service):
    service = np.asarray(service, float)
    load = rate * service.mean()
    return float(service.mean() + rate * (service**2).mean() / (2 * (1 - load) + 1e-12))
