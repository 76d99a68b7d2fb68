"""Compares numbers by a fixed tolerance, which no INT8 file keeps."""


def skew(reference, shipped):
    return "same" if np.allclose(reference, shipped, atol=1e-3) else "preprocessing"
