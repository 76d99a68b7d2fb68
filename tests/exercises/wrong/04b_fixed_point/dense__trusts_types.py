"""Computes in whatever type the codes come in."""

import numpy as np


def dense(x, x_fraction, weight, bias, weight_fraction, width, fraction):
    x, weight, bias = np.asarray(x), np.asarray(weight), np.asarray(bias)
    s = np.maximum(x @ weight.T + (bias << x_fraction), 0)
    d = x_fraction + weight_fraction - fraction
    k = (s + (1 << (d - 1))) >> d if d > 0 else s << -d
    t = 1 << (width - 1)
    return np.clip(k, -t, t - 1).astype(np.int64)
