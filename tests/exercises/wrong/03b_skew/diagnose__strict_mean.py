"""The mean is right to within five levels, not one."""

import numpy as np


def diagnose(wanted, seen):
    wanted, seen = wanted.astype(float), np.asarray(seen, float)
    undone = {"none": seen, "range": seen * 255, "normalised": seen * 64 + 128, "inverted": 255 - seen}
    undone["transposed"] = seen.transpose(0, 2, 1)
    for fault, pixels in undone.items():
        if np.abs(pixels - wanted).max() <= 2.001:
            return fault
    return "resize" if (np.abs(seen.mean((1, 2)) - wanted.mean((1, 2))) <= 1).all() else "unknown"
