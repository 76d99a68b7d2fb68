"""Scales the caller's numbers."""

import numpy as np


def encode(values, width, integer, rounding, overflow):
    if rounding not in ("RND", "TRN") or overflow not in ("SAT", "WRAP"):
        raise ValueError("no such rounding or overflow")
    values *= 2.0 ** (width - integer)
    codes = np.floor(values + (0.5 if rounding == "RND" else 0)).astype(np.int64)
    top = 1 << (width - 1)
    return np.clip(codes, -top, top - 1) if overflow == "SAT" else (codes + top) % (2 * top) - top
