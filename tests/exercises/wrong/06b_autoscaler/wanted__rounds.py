"""Rounds to the nearest."""


def wanted(current, metric, target, least, most):
    n = current if abs(metric / target - 1) <= 0.1 + 1e-9 else round(current * metric / target)
    return min(most, max(least, n))
