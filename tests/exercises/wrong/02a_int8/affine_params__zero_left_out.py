"""Uses the range as measured: zero may fall outside and is lost."""

import numpy as np


def affine_params(low, high):
    if low == high:
        return 1.0, 0
    scale = (high - low) / 255
    return scale, int(np.clip(round(-128 - low / scale), -128, 127))
