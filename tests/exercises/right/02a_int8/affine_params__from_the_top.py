"""Computes the zero point from the high end."""

import numpy as np


def affine_params(low, high):
    span = np.ptp([low, high, 0.0])
    if span == 0:
        return 1.0, 0
    scale = span / 255
    return float(scale), int(np.clip(np.rint(127 - max(high, 0.0) / scale), -128, 127))
