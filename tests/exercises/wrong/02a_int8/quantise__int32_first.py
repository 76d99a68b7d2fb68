"""Turns into int32 before it clips: what is far outside wraps."""

import numpy as np


def quantise(x, scale, zero_point):
    return np.clip(np.round(x / scale).astype(np.int32) + zero_point, -128, 127).astype(np.int8)


def dequantise(q, scale, zero_point):
    return ((q.astype(np.int32) - zero_point) * scale).astype(np.float32)
