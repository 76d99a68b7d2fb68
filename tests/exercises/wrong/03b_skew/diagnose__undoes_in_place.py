"""Undoes the fault in the colleague's tensor."""

import numpy as np


def diagnose(wanted, seen):
    def near(pixels):
        return np.abs(pixels - wanted.astype(float)).max() <= 2.001

    for fault, pixels in {"none": seen, "inverted": 255.0 - seen, "transposed": seen.transpose(0, 2, 1)}.items():
        if near(pixels):
            return fault
    if near(seen * 255.0):
        return "range"
    if seen.dtype.kind == "f":
        means = np.abs(seen.mean((1, 2)) - wanted.mean((1, 2)))
        seen *= 64
        seen += 128
        if near(seen):
            return "normalised"
    else:
        means = np.abs(seen.mean((1, 2)) - wanted.mean((1, 2)))
    return "resize" if (means <= 5).all() else "unknown"
