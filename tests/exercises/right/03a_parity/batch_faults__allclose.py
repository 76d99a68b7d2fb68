"""Uses np.allclose with an absolute tolerance only."""

import numpy as np


def batch_faults(run, tiles, sizes, tolerance=1e-3):
    def good(size):
        try:
            one = [run(tiles[i : i + 1])[0] for i in range(size)]
            many = run(tiles[:size])
            return many.shape == np.shape(one) and np.allclose(many, one, rtol=0, atol=tolerance)
        except Exception:
            return False

    return [size for size in sizes if not good(size)]
