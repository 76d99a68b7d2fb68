"""Rounds the number of test tiles."""


def split(coils, share, seed):
    names = sorted(set(coils))
    if len(names) < 2:
        raise ValueError("two coils at least: one to train, one to test")
    order = np.random.default_rng(seed).permutation(len(names))
    coils = np.array([names.index(c) for c in coils])
    test = np.zeros(len(coils), bool)
    for k in order[:-1]:
        if test.sum() >= round(share * len(coils)):
            break
        test |= coils == k
    return test
