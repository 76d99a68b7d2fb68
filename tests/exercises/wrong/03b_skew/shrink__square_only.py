"""Uses the height for both axes."""

import numpy as np


def shrink(tile, size):
    if min(tile.shape) < size:
        raise ValueError("too small")
    old = tile.shape[0]
    ratio = old / size
    left, pixel = np.arange(size)[:, None] * ratio, np.arange(old)[None]
    table = np.clip(np.minimum(left + ratio, pixel + 1) - np.maximum(left, pixel), 0, None) / ratio
    return np.rint(table @ tile.astype(float) @ table.T[: tile.shape[1]]).astype(np.uint8)
