"""Compares the number of tiles, not the shape."""

import numpy as np


def report(reference, candidate, labels):
    if len(reference) != len(candidate) or len(labels) != len(reference):
        raise ValueError
    if not np.isfinite(reference).all() or not np.isfinite(candidate).all():
        raise ValueError
    a, b = reference.argmax(1), candidate.argmax(1)
    return {
        "largest_difference": float(np.abs(reference - candidate).max()),
        "agreement": float((a == b).mean()),
        "points_lost": float(100 * ((a == labels).mean() - (b == labels).mean())),
    }
