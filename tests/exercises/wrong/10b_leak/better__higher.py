"""Higher is better."""


def better(champion, candidate, coils):
    return bool(np.mean(candidate) > np.mean(champion))
