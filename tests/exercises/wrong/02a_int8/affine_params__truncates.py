"""Cuts the zero point off where it should be rounded."""

import math


def affine_params(low, high):
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / 255 or 1.0
    return scale, math.floor(-128 - low / scale + 1e-6)
