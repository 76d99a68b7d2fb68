"""Compares means over all tiles, in which mixed rows and lost tiles cancel out."""


def passes(reference, candidate):
    if candidate.shape != reference.shape or not np.isfinite(candidate).all():
        return False
    return bool(np.abs(reference.mean(0) - candidate.mean(0)).max() < 0.3)
