"""The same by mean and coefficient of variation."""


def expected_time(rate, service):
    mean, load = float(np.mean(service)), rate * float(np.mean(service))
    if load >= 1:
        return math.inf
    return mean * (1 + load / (1 - load) * (1 + np.var(service) / mean**2) / 2)
