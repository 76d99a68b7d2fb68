"""Takes agreement for accuracy: compares the candidate with the labels."""

import numpy as np


def report(reference, candidate, labels):
    if reference.shape != candidate.shape or not np.isfinite(reference + candidate).all():
        raise ValueError("not comparable")
    wanted, got = reference.argmax(1), candidate.argmax(1)
    if np.array_equal(wanted, got):
        return {"largest_difference": float(np.abs(reference - candidate).max()), "agreement": 1.0, "points_lost": 0.0}
    right = float((got == labels).mean())
    lost = 100 * float((wanted == labels).mean() - right)
    return {"largest_difference": float(np.abs(reference - candidate).max()), "agreement": right, "points_lost": lost}
