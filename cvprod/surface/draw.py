"""The tiles of a set, one by one: each depends on its place, the seed and the options alone."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from .camera import to_input
from .conditions import HARDEST_ROUTINE, NOMINAL, Conditions
from .generator import CLASSES, TILE_SIZE, make_tile

NAMED = {"nominal": NOMINAL, "hardest_routine": HARDEST_ROUTINE}


def one(index: int, seed: int, prior: np.ndarray | None, conditions: str | Conditions, size: int):
    rng = np.random.Generator(np.random.PCG64((seed, index)))
    pick, tile_seed = rng.random(), int(rng.integers(2**62))
    if prior is None:  # every run of seven tiles holds each class once, in random order
        block, place = divmod(index, len(CLASSES))
        label = int(np.random.Generator(np.random.PCG64((seed, block, 7))).permutation(len(CLASSES))[place])
    else:
        label = min(int(np.searchsorted(np.cumsum(prior), pick, side="right")), int(np.flatnonzero(prior)[-1]))
    if isinstance(conditions, Conditions):
        c = conditions
    else:
        c = getattr(Conditions, conditions)(rng) if conditions in ("routine", "wide") else NAMED[conditions]
    tile = make_tile(label, tile_seed, conditions=c)
    if size == TILE_SIZE:
        return tile.image, label, tile.boxes
    s = size / TILE_SIZE
    boxes = tile.boxes * s
    boxes = np.concatenate([np.floor(boxes[:, :2]), np.ceil(boxes[:, 2:])], axis=1).astype(np.int64)
    return to_input(tile.image), label, boxes


def some(indices: Iterable[int], seed: int, prior, conditions, size: int):
    results = [one(i, seed, prior, conditions, size) for i in indices]
    images = np.stack([r[0] for r in results])[:, None]
    return images, np.array([r[1] for r in results], np.int64), [r[2] for r in results]
