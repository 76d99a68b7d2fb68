"""Returns early within the tolerance, beyond the limits."""


def wanted(current, metric, target, least, most):
    if abs(metric / target - 1) <= 0.1 + 1e-9:
        return current
    return min(most, max(least, math.ceil(current * metric / target - 1e-9)))
