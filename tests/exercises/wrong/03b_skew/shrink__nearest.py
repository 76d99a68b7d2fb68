"""Takes the pixel in the middle: quick, and it aliases."""

import numpy as np


def shrink(tile, size):
    if min(tile.shape) < size:
        raise ValueError("too small")
    rows, columns = (((np.arange(size) + 0.5) * old / size).astype(int) for old in tile.shape)
    return tile[rows][:, columns]
