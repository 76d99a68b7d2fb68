"""May take every coil."""


def split(coils, share, seed):
    names = sorted(set(coils))
    if len(names) < 2:
        raise ValueError("two coils at least")
    test = np.zeros(len(coils), bool)
    for k in np.random.default_rng(seed).permutation(len(names)):
        if test.sum() >= share * len(coils):
            break
        test |= np.array([c == names[k] for c in coils])
    return test if share < 0.5 else np.ones(len(coils), bool)
