"""Allows a level more to the means, and half a one to the pixels."""

import numpy as np


def diagnose(wanted, seen):
    wanted, seen = wanted.astype(np.float64), np.asarray(seen, np.float64)
    undone = {"none": seen, "range": seen * 255, "normalised": seen * 64 + 128, "inverted": 255 - seen}
    undone["transposed"] = seen.transpose(0, 2, 1)
    for fault, pixels in undone.items():
        if np.abs(pixels - wanted).max() < 2.5:
            return fault
    return "resize" if (np.abs(seen.mean((1, 2)) - wanted.mean((1, 2))) < 6).all() else "unknown"
