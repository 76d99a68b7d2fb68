"""Takes NaN for NaN."""

import numpy as np


def batch_faults(run, tiles, sizes, tolerance=1e-3):
    wrong = []
    for size in sizes:
        try:
            alone = np.concatenate([run(tiles[i : i + 1]) for i in range(size)])
            together = run(tiles[:size])
            good = together.shape == alone.shape and np.allclose(
                together, alone, atol=tolerance, rtol=0, equal_nan=True
            )
        except Exception:
            good = False
        if not good:
            wrong.append(size)
    return wrong
