from collections import Counter


def split(coils, share, seed):
    sizes = Counter(coils)
    names = sorted(sizes)
    if len(names) < 2:
        raise ValueError(f"{len(names)} coil is no two: nothing to train on, or nothing to test on")
    chosen, total = set(), 0
    for name in np.random.default_rng([seed, 7]).permutation(np.array(names, dtype=object))[: len(names) - 1]:
        if total < share * len(coils):
            chosen.add(name)
            total += sizes[name]
    return np.array([c in chosen for c in coils], dtype=bool)
