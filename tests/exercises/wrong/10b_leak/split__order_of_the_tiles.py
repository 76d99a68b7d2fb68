"""The order in which coils appear decides: other files, other split."""


def split(coils, share, seed):
    names = list(dict.fromkeys(coils))
    if len(names) < 2:
        raise ValueError("two coils at least")
    test = np.zeros(len(coils), bool)
    for k in np.random.default_rng(seed).permutation(len(names))[:-1]:
        if test.sum() >= share * len(coils):
            break
        test |= np.array([c == names[k] for c in coils])
    return test
