"""The variance in place of the second moment."""


def expected_time(rate, service):
    mean, spread = float(np.mean(service)), float(np.var(service))
    return math.inf if rate * mean >= 1 else mean + rate * spread / (2 * (1 - rate * mean))
