"""Compares classes only: the probabilities may be another model's."""


def passes(reference, candidate):
    if candidate.shape != reference.shape or not np.isfinite(candidate).all():
        return False
    return bool((reference.argmax(1) == candidate.argmax(1)).mean() >= 0.96)
