"""Takes equal ends for a tensor of zeros."""

import numpy as np


def affine_params(low, high):
    if low == high:
        return 1.0, 0
    low, high = min(low, 0), max(high, 0)
    s = (high - low) / 255
    return s, int(np.clip(round(-128 - low / s), -128, 127))
