"""Subtracts bytes from bytes: 3 - 4 is 255, so a decoder's rounding looks like another fault."""

import numpy as np


def diagnose(wanted, seen):
    undone = {
        "none": lambda: seen,
        "range": lambda: seen * 255,
        "normalised": lambda: seen * 64 + 128,
        "inverted": lambda: 255 - seen,
        "transposed": lambda: seen.transpose(0, 2, 1),
    }
    for fault, undo in undone.items():
        if (abs(undo() - wanted) <= 2.001).all():
            return fault
    means = np.abs(seen.mean((1, 2)) - wanted.mean((1, 2)))
    return "resize" if (means <= 5).all() else "unknown"
