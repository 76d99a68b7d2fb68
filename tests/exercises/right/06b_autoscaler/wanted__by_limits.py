"""Clips the outcome at the end."""


def wanted(current, metric, target, least, most):
    if not 0.9 - 1e-9 <= metric / target <= 1.1 + 1e-9:
        current = int(np.ceil(round(current * metric / target, 9)))
    return int(np.clip(current, least, most))
