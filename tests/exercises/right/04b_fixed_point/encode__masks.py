"""Wraps with a mask, one number at a time."""

import math

import numpy as np


def encode(values, width, integer, rounding, overflow):
    if rounding not in {"RND", "TRN"} or overflow not in {"SAT", "WRAP"}:
        raise ValueError("unknown mode")
    low, high = -(2 ** (width - 1)), 2 ** (width - 1) - 1
    flat = []
    for value in np.ravel(values):
        scaled = float(value) * 2 ** (width - integer)
        code = math.floor(scaled + 0.5) if rounding == "RND" else math.floor(scaled)
        if overflow == "SAT":
            code = min(max(code, low), high)
        else:
            code &= 2**width - 1
            code = code - 2**width if code > high else code
        flat.append(code)
    return np.array(flat, np.int64).reshape(np.shape(values))
