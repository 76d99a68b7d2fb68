"""Asks for three standard errors."""


def better(champion, candidate, coils):
    coils = np.asarray(coils)
    gain = np.asarray(candidate, float) - np.asarray(champion, float)
    means = np.array([gain[coils == c].mean() for c in sorted(set(coils.tolist()))])
    if len(means) < 5:
        return False
    return bool(means.mean() > 3 * means.std(ddof=1) / np.sqrt(len(means)))
