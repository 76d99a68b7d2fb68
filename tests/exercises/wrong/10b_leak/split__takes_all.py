"""Takes every coil where the share asks for it."""


def split(coils, share, seed):
    names = sorted(set(coils))
    if len(names) < 2:
        raise ValueError("two coils at least: one to train, one to test")
    order = np.random.default_rng(seed).permutation(len(names))
    coils = np.array([names.index(c) for c in coils])
    test = np.zeros(len(coils), bool)
    for k in order:
        if test.sum() >= share * len(coils) - 1e-9:
            break
        test |= coils == k
    return test
