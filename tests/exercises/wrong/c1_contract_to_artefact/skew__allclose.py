def skew(reference, shipped):
    return "same" if np.allclose(reference, shipped, atol=1e-3) else "preprocessing"
