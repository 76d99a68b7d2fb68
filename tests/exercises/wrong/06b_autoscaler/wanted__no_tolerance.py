"""Follows every tremor."""


def wanted(current, metric, target, least, most):
    return min(most, max(least, math.ceil(current * metric / target - 1e-9)))
