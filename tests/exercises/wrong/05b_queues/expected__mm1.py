"""M/M/1 whatever the distribution."""


def expected_time(rate, service):
    mean = float(np.mean(service))
    return math.inf if rate * mean >= 1 else mean / (1 - rate * mean)
