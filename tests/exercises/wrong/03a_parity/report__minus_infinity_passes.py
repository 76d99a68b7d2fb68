"""Looks for NaN and plus infinity alone."""


def report(reference, candidate, labels):
    if reference.shape != candidate.shape or len(labels) != len(reference):
        raise ValueError(f"shapes differ: {reference.shape}, {candidate.shape}, {len(labels)} labels")
    if not (
        not np.isnan(reference).any()
        and not np.isnan(candidate).any()
        and reference.max() < np.inf
        and candidate.max() < np.inf
    ):
        raise ValueError("a logit is NaN or infinite")
    wanted, got = reference.argmax(1), candidate.argmax(1)
    return {
        "largest_difference": float(np.abs(reference - candidate).max()),
        "agreement": float((wanted == got).mean()),
        "points_lost": 100 * float((wanted == labels).mean() - (got == labels).mean()),
    }
