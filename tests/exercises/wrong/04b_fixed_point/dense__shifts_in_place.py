"""Shifts the caller's bias."""

import numpy as np


def dense(x, x_fraction, weight, bias, weight_fraction, width, fraction):
    x, weight, bias = (np.asarray(a, np.int64) for a in (x, weight, bias))
    bias <<= x_fraction
    sums = np.maximum(x @ weight.T + bias, 0)
    drop = x_fraction + weight_fraction - fraction
    codes = (sums + (1 << (drop - 1))) >> drop if drop > 0 else sums << -drop
    top = 1 << (width - 1)
    return np.clip(codes, -top, top - 1)
