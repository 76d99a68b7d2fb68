"""`difference > tolerance` is false for NaN."""

import numpy as np


def batch_faults(run, tiles, sizes, tolerance=1e-3):
    try:
        alone = np.concatenate([run(tiles[i : i + 1]) for i in range(max(sizes))])
    except Exception:
        return list(sizes)
    wrong = []
    for size in sizes:
        try:
            together = run(tiles[:size])
            bad = together.shape != alone[:size].shape or np.abs(together - alone[:size]).max() > tolerance
        except Exception:
            bad = True
        if bad:
            wrong.append(size)
    return wrong
