"""Does not saturate: a value just above the range comes back at the other end."""

import numpy as np


def quantise(x, scale, zero_point):
    return (np.round(np.asarray(x) / scale) + zero_point).astype(np.int64).astype(np.int8)


def dequantise(q, scale, zero_point):
    return ((q.astype(np.float32) - zero_point) * scale).astype(np.float32)
