"""Takes a small difference for none."""


def report(reference, candidate, labels):
    if reference.shape != candidate.shape or len(labels) != len(reference):
        raise ValueError(f"shapes differ: {reference.shape}, {candidate.shape}, {len(labels)} labels")
    if not (np.isfinite(reference).all() and np.isfinite(candidate).all()):
        raise ValueError("a logit is NaN or infinite")
    wanted, got = reference.argmax(1), candidate.argmax(1)
    return {
        "largest_difference": (lambda d: d if d > 1e-5 else 0.0)(float(np.abs(reference - candidate).max())),
        "agreement": float((wanted == got).mean()),
        "points_lost": 100 * float((wanted == labels).mean() - (got == labels).mean()),
    }
