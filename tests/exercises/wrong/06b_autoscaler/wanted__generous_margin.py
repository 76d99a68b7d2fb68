"""A tenth of a replica is more than floating point asks for."""

import math


def wanted(current, metric, target, least, most):
    ratio = metric / target
    n = current if abs(ratio - 1) <= 0.1 + 1e-9 else math.ceil(current * ratio - 0.1)
    return min(most, max(least, n))
