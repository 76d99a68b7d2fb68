"""Looks at the first tile of a batch."""

import numpy as np


def batch_faults(run, tiles, sizes, tolerance=1e-3):
    wrong = []
    for size in sizes:
        try:
            alone = np.concatenate([run(tiles[i : i + 1]) for i in range(size)])
            together = run(tiles[:size])
            good = together.shape == alone.shape and np.abs(together - alone)[0].max() <= tolerance
        except Exception:
            good = False
        if not good:
            wrong.append(size)
    return wrong
