"""Forgets the absolute value: a candidate that is lower everywhere seems not to differ."""

import numpy as np


def report(reference, candidate, labels):
    if reference.shape != candidate.shape or not np.isfinite(reference + candidate).all():
        raise ValueError("not comparable")
    wanted, got = reference.argmax(1), candidate.argmax(1)
    lost = 100 * float((wanted == labels).mean() - (got == labels).mean())
    agreement = float((wanted == got).mean())
    return {"largest_difference": float((candidate - reference).max()), "agreement": agreement, "points_lost": lost}
