"""Two exactly: float32 rounds, and a pixel that is off by two is off by 2.000003."""

import numpy as np


def diagnose(wanted, seen):
    wanted, seen = wanted.astype(float), np.asarray(seen, float)
    undone = {"none": seen, "range": seen * 255, "normalised": seen * 64 + 128, "inverted": 255 - seen}
    undone["transposed"] = seen.transpose(0, 2, 1)
    for fault, pixels in undone.items():
        if np.abs(pixels - wanted).max() <= 2:
            return fault
    return "resize" if (np.abs(seen.mean((1, 2)) - wanted.mean((1, 2))) <= 5).all() else "unknown"
