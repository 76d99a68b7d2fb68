"""Divides the caller's values."""

import numpy as np


def quantise(x, scale, zero_point):
    x /= scale
    return np.clip(np.round(x) + zero_point, -128, 127).astype(np.int8)


def dequantise(q, scale, zero_point):
    return ((q.astype(np.float32) - zero_point) * scale).astype(np.float32)
