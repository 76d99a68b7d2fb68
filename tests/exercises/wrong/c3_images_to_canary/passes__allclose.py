def passes(reference, candidate):
    return candidate.shape == reference.shape and bool(np.allclose(reference, candidate, atol=0.1))
