"""Sets of tiles: generated ones, or the reader's own images, behind one function."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence

import numpy as np

from .camera import INPUT_SIZE
from .conditions import Conditions
from .draw import NAMED, some
from .generator import CLASSES, label_index
from .tileset import SPLITS, TileSet, check_count, check_size, check_split


def _check_prior(prior: Mapping[str, float] | Sequence[float] | None) -> np.ndarray | None:
    if prior is None:
        return None
    if isinstance(prior, Mapping):
        p = np.zeros(len(CLASSES))
        for name, weight in prior.items():
            p[label_index(name)] = weight
    else:
        p = np.asarray(prior, dtype=np.float64)
    if p.shape != (len(CLASSES),) or not np.isfinite(p).all() or (p < 0).any() or p.sum() <= 0:
        raise ValueError(
            f"prior must be {len(CLASSES)} weights (in the order of CLASSES) or a mapping from class names to "
            f"weights, none negative and not all zero, got {prior!r}"
        )
    return p / p.sum()


def make_set(
    n: int,
    seed: int,
    *,
    prior: Mapping[str, float] | Sequence[float] | None = None,
    conditions: str | Conditions = "routine",
    size: int = INPUT_SIZE,
    workers: int = 1,
) -> TileSet:
    """Generate n tiles. Tile i depends on (seed, i) and the options alone, not on n or on workers.

    Args:
        n: how many, at least 1.
        seed: non-negative integer; sets with different seeds share no tile.
        prior: class weights, as a mapping or in the order of CLASSES; None for a balanced set.
        conditions: "routine" or "wide" (drawn afresh for every tile), "nominal", "hardest_routine", or one
            fixed Conditions.
        size: 96 (what the networks see, by :func:`to_input`) or 224 (the camera's tile).
        workers: processes to use; worth it from some thousand tiles.

    Raises:
        ValueError: an option is out of its range.
    """
    check_count("n", n)
    if not isinstance(seed, int | np.integer) or isinstance(seed, bool) or seed < 0:
        raise ValueError(f"seed must be a non-negative integer, got {seed!r}")
    check_size(size)
    check_count("workers", workers)
    names = ("routine", "wide", *NAMED)
    if not isinstance(conditions, Conditions) and conditions not in names:
        raise ValueError(f"conditions must be a Conditions or one of {', '.join(names)}, got {conditions!r}")
    p = _check_prior(prior)
    n, seed = int(n), int(seed)
    if workers == 1 or n < 64:
        return TileSet(*some(range(n), seed, p, conditions, size))
    from . import worker  # only here: a module that is also run with -m must not be imported by its package

    edges = [n * k // workers for k in range(workers + 1)]
    processes = [worker.start((range(a, b), seed, p, conditions, size)) for a, b in itertools.pairwise(edges)]
    images, labels, boxes = zip(*[worker.result(process) for process in processes], strict=True)
    return TileSet(np.concatenate(images), np.concatenate(labels), [b for part in boxes for b in part])


def tiles(split: str, n: int | None = None, *, size: int = INPUT_SIZE, workers: int = 1) -> TileSet:
    """The book's data: generated tiles, or the reader's own images when CVPROD_DATA names a folder.

    Args:
        split: "train", "val" or "test". In a folder every file belongs to one split for ever (70, 15 and
            15 %), by a hash of its class and name, whatever other files come or go.
        n: how many, at least 1; a folder that has fewer gives what it has, None gives all of it.
        size: 96 or 224.
        workers: processes for generating.

    Raises:
        ValueError: unknown split, an option is out of its range, n missing for generated tiles, unknown class
            folders, or a split of the folder is empty.
        ImageError: a file in the folder is not a readable image.
        FileNotFoundError, NotADirectoryError: CVPROD_DATA names nothing, or no folder.
    """
    check_split(split)
    if n is not None:
        check_count("n", n)
    folder = os.environ.get("CVPROD_DATA")
    if folder:
        from .folder import load_folder

        return load_folder(folder, split=split, limit=n, size=size)
    if n is None:
        raise ValueError("say how many tiles to generate: tiles(split, n); only a CVPROD_DATA folder has a size")
    return make_set(n, SPLITS[split], size=size, workers=workers)
