"""New is better."""


def better(champion, candidate, coils):
    return not np.array_equal(champion, candidate)
