"""Adds the bias as it is, in other units than the products."""

import numpy as np


def dense(x, x_fraction, weight, bias, weight_fraction, width, fraction):
    sums = np.maximum(np.asarray(x, np.int64) @ np.asarray(weight, np.int64).T + np.asarray(bias), 0)
    drop = x_fraction + weight_fraction - fraction
    codes = (sums + (1 << (drop - 1))) >> drop if drop > 0 else sums << -drop
    top = 1 << (width - 1)
    return np.clip(codes, -top, top - 1)
