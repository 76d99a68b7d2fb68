"""Looks at all tiles together, with a generous limit: a lost class is a few tiles of many."""


def passes(reference, candidate):
    if candidate.shape != reference.shape or not np.isfinite(candidate).all():
        return False
    if (reference.argmax(1) == candidate.argmax(1)).mean() < 0.9:
        return False

    def highest(x):
        powers = np.exp(x - x.max(1, keepdims=True))
        return (powers / powers.sum(1, keepdims=True)).max(1)

    return bool(np.abs(highest(reference) - highest(candidate)).mean() < 0.05)
