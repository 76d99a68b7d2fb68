"""In float32, with the thousandth that it needs."""

import numpy as np


def diagnose(wanted, seen):
    wanted, seen = wanted.astype(np.float32), np.asarray(seen, np.float32)
    undone = {"none": seen, "range": seen * 255, "normalised": seen * 64 + 128, "inverted": 255 - seen}
    undone["transposed"] = seen.transpose(0, 2, 1)
    for fault, pixels in undone.items():
        if np.abs(pixels - wanted).max() <= 2.001:
            return fault
    return "resize" if (np.abs(seen.mean((1, 2)) - wanted.mean((1, 2))) <= 5).all() else "unknown"
