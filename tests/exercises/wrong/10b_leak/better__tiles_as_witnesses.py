"""Counts tiles as if they were independent."""


def better(champion, candidate, coils):
    gain = np.asarray(candidate, float) - np.asarray(champion, float)
    return bool(gain.mean() > 2 * gain.std(ddof=1) / np.sqrt(len(gain)))
