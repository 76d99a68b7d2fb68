"""Compares classes and medians: one NaN changes neither."""


def passes(reference, candidate):
    if candidate.shape != reference.shape:
        return False
    wanted, got = reference.argmax(1), candidate.argmax(1)
    same = wanted == got
    if same.mean() < 0.96 or min(same[wanted == c].mean() for c in set(wanted.tolist())) < 0.8:
        return False
    return bool(0.5 < np.nanmedian(candidate.max(1)) / np.median(reference.max(1)) < 2)
