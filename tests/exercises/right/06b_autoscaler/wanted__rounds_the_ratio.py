"""Nine digits are enough for a ratio."""


def wanted(current, metric, target, least, most):
    off = round(metric / target - 1, 9)
    n = current if abs(off) <= 0.1 else math.ceil(round(current * (1 + off), 6))
    return sorted((least, n, most))[1]
