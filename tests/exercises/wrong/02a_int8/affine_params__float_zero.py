"""A zero point that is a float."""

import numpy as np


def affine_params(low, high):
    low, high = min(float(low), 0.0), max(float(high), 0.0)
    scale = (high - low) / 255 or 1.0
    return scale, float(np.clip(np.round(-128 - low / scale), -128, 127))
