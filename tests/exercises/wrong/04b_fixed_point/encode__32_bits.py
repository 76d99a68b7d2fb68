"""Goes through 32 bits."""

import numpy as np


def encode(values, width, integer, rounding, overflow):
    if rounding not in ("RND", "TRN") or overflow not in ("SAT", "WRAP"):
        raise ValueError("no such rounding or overflow")
    scaled = np.floor(values * 2.0 ** (width - integer) + (0.5 if rounding == "RND" else 0))
    codes = np.clip(scaled, -(2**31), 2**31 - 1).astype(np.int32).astype(np.int64)
    top = 1 << (width - 1)
    return np.clip(codes, -top, top - 1) if overflow == "SAT" else (codes + top) % (2 * top) - top
