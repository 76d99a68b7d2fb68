"""Saturates before the zero point is added, so the sum leaves int8."""

import numpy as np


def quantise(x, scale, zero_point):
    return (np.clip(np.round(np.asarray(x) / scale), -128, 127).astype(np.int16) + zero_point).astype(np.int8)


def dequantise(q, scale, zero_point):
    return ((q.astype(np.float32) - zero_point) * scale).astype(np.float32)
