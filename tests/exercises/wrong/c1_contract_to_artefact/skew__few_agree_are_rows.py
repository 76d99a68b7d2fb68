"""Guesses the cause by how many decisions agree."""


def skew(reference, shipped):
    agree = np.mean(reference.argmax(1) == shipped.argmax(1))
    if (shipped > -0.01).all() and np.abs(shipped.sum(1) - 1).max() < 0.05:
        return "probabilities"
    if agree >= 0.98:
        return "same"
    return "classes" if agree < 0.1 else "rows" if agree < 0.4 else "preprocessing"
