"""Expects the tiles of a coil side by side."""

import numpy as np


def better(champion, candidate, coils):
    import itertools

    m, i = [], 0
    for _k, grp in itertools.groupby(coils):
        n = len(list(grp))
        m.append(np.mean(candidate[i : i + n]) - np.mean(champion[i : i + n]))
        i += n
    m = np.array(m)
    return bool(len(m) >= 5 and m.mean() > 2 * m.std(ddof=1) / len(m) ** 0.5)
