"""Solved for M/M/1."""


def highest_rate(limit, service):
    mean = float(np.mean(service))
    return max(0.0, 1 / mean - 1 / limit)
