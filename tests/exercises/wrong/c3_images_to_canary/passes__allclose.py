"""Asks for equal logits, which no INT8 has."""


def passes(reference, candidate):
    return candidate.shape == reference.shape and bool(np.allclose(reference, candidate, atol=0.1))
