"""Lets a NaN through: argmax of a row with NaN is the NaN's place, and nobody hears of it."""

import numpy as np


def report(reference, candidate, labels):
    if reference.shape != candidate.shape:
        raise ValueError("not comparable")
    wanted, got = reference.argmax(1), candidate.argmax(1)
    return {
        "largest_difference": float(np.nanmax(np.abs(reference - candidate))),
        "agreement": float((wanted == got).mean()),
        "points_lost": 100 * float((wanted == labels).mean() - (got == labels).mean()),
    }
