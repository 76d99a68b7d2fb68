"""As much as the tolerance is a fault."""

import numpy as np


def batch_faults(run, tiles, sizes, tolerance=1e-3):
    try:
        alone = np.concatenate([run(tiles[i : i + 1]) for i in range(max(sizes, default=1))])
    except Exception:
        return list(sizes)
    out = []
    for n in sizes:
        try:
            y = run(tiles[:n])
            ok = y.shape == alone[:n].shape and np.abs(y - alone[:n]).max() < tolerance
        except Exception:
            ok = False
        if not ok:
            out.append(n)
    return out
