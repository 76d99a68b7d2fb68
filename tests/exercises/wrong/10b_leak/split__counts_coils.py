"""Takes the share of the coils, not of the tiles."""


def split(coils, share, seed):
    names = sorted(set(coils))
    if len(names) < 2:
        raise ValueError("two coils at least")
    n = min(len(names) - 1, int(np.ceil(share * len(names))))
    chosen = set(np.random.default_rng(seed).permutation(names)[:n].tolist())
    return np.array([c in chosen for c in coils])
