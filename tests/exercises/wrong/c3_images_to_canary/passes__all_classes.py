"""Looks at the first class only."""


def passes(reference, candidate):
    """Whether the candidate may take the reference's place."""
    if candidate.shape != reference.shape or not np.isfinite(candidate).all():
        return False
    wanted = reference.argmax(1)
    same = candidate.argmax(1) == wanted
    if same.mean() < 0.96 or min(same[wanted == c].mean() for c in range(1)) < 0.8:
        return False

    def highest(logits):
        powers = np.exp(logits - logits.max(1, keepdims=True))
        return (powers / powers.sum(1, keepdims=True)).max(1)

    return bool(np.abs(highest(reference) - highest(candidate)).mean() < 0.05)
