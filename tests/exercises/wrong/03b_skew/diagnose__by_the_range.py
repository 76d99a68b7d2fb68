"""Looks at the largest value only."""

import numpy as np


def diagnose(wanted, seen):
    seen = np.asarray(seen, float)
    if np.array_equal(wanted, seen):
        return "none"
    if seen.max() <= 1:
        return "range"
    if seen.min() < 0:
        return "normalised"
    if abs((255 - seen) - wanted).mean() <= 2:
        return "inverted"
    if abs(seen.transpose(0, 2, 1) - wanted).mean() <= 2:
        return "transposed"
    return "resize" if abs(seen.mean() - wanted.mean()) <= 5 else "unknown"
