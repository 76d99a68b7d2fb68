"""Shifts without rounding."""

import numpy as np


def dense(x, x_fraction, weight, bias, weight_fraction, width, fraction):
    sums = np.asarray(x, np.int64) @ np.asarray(weight, np.int64).T + (np.asarray(bias, np.int64) << x_fraction)
    sums = np.maximum(sums, 0)
    drop = x_fraction + weight_fraction - fraction
    codes = sums >> drop if drop > 0 else sums << -drop
    top = 1 << (width - 1)
    return np.clip(codes, -top, top - 1)
