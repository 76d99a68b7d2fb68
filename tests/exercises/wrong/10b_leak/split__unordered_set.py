"""Draws from a set, whose order is another in every process."""

import numpy as np


def split(coils, share, seed):
    names = list(set(coils))
    if len(names) < 2:
        raise ValueError
    c = np.array(coils)
    t = np.zeros(len(c), bool)
    for k in np.random.default_rng(seed).permutation(len(names))[:-1]:
        if t.sum() >= share * len(c) - 1e-9:
            break
        t |= c == names[k]
    return t
