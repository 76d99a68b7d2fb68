"""Takes the largest value of the usual tile: half of the good tiles are clipped."""


def top(x):
    return float(np.median(np.max(x, axis=1))) or 1.0
