"""Takes small numbers with the same decisions for probabilities."""


def skew(reference, shipped):
    """One of plant.SKEWS."""
    if shipped.argmax(axis=1).tolist() == reference.argmax(axis=1).tolist() and shipped.max() < 2:
        return "probabilities"
    if np.mean(reference.argmax(axis=1) == shipped.argmax(axis=1)) > 0.97:
        return "same"
    classes = reference.shape[1]
    match = np.corrcoef(reference.T, shipped.T)[:classes, classes:].argmax(axis=1)
    if len(set(match)) == classes and np.mean(reference.argmax(axis=1) == shipped[:, match].argmax(axis=1)) > 0.97:
        return "classes"
    apart = np.abs(np.sort(reference, axis=0) - np.sort(shipped, axis=0))
    return "rows" if np.median(apart) < 0.1 else "preprocessing"
