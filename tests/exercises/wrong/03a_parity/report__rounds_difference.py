"""Rounds the difference for show."""


def report(reference, candidate, labels):
    if reference.shape != candidate.shape or len(labels) != len(reference):
        raise ValueError(f"shapes differ: {reference.shape}, {candidate.shape}, {len(labels)} labels")
    if not (np.isfinite(reference).all() and np.isfinite(candidate).all()):
        raise ValueError("a logit is NaN or infinite")
    wanted, got = reference.argmax(1), candidate.argmax(1)
    return {
        "largest_difference": round(float(np.abs(reference - candidate).max()), 4),
        "agreement": float((wanted == got).mean()),
        "points_lost": 100 * float((wanted == labels).mean() - (got == labels).mean()),
    }
