"""The formula as it is printed: 66 / 60 - 1 is a little more than 0.1."""


def wanted(current, metric, target, least, most):
    n = current if abs(metric / target - 1) <= 0.1 else math.ceil(current * metric / target)
    return max(least, min(most, n))
