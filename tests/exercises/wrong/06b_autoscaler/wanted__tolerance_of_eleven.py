"""Widens the tolerance by a point."""


def wanted(current, metric, target, least, most):
    ratio = metric / target
    n = current if abs(ratio - 1) <= 0.1 + 1e-2 else math.ceil(current * ratio - 1e-9)
    return min(most, max(least, n))
