"""Writes the differences over the candidate's logits."""

import numpy as np


def report(reference, candidate, labels):
    if reference.shape != candidate.shape or len(labels) != len(reference):
        raise ValueError("shapes differ")
    if not np.isfinite(reference).all() or not np.isfinite(candidate).all():
        raise ValueError("a logit is NaN or infinite")
    wanted, got = reference.argmax(1), candidate.argmax(1)
    candidate -= reference
    return {
        "largest_difference": float(np.abs(candidate).max()),
        "agreement": float((wanted == got).mean()),
        "points_lost": 100 * float((wanted == labels).mean() - (got == labels).mean()),
    }
