"""Tolerates a fifth below the target."""

import math


def wanted(current, metric, target, least, most):
    ratio = metric / target
    n = current if 0.8 <= ratio <= 1.1 + 1e-9 else math.ceil(current * ratio - 1e-9)
    return min(most, max(least, n))
