"""One number after the other, in Python's own integers."""

import math


def encode(values, width, integer, rounding, overflow):
    half = {"RND": 0.5, "TRN": 0.0}.get(rounding)
    if half is None or overflow not in {"SAT", "WRAP"}:
        raise ValueError("unknown mode")
    values = np.asarray(values, float)
    low, count = -(1 << (width - 1)), 1 << width
    codes = []
    for value in values.ravel().tolist():
        code = math.floor(value * 2 ** (width - integer) + half)
        wrapped, clipped = (code - low) % count + low, max(low, min(low + count - 1, code))
        codes.append(clipped if overflow == "SAT" else wrapped)
    return np.array(codes, np.int64).reshape(values.shape)
