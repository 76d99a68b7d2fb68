"""Sets of tiles: generated ones, or the reader's own images, behind one function."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .camera import INPUT_SIZE, to_input
from .conditions import HARDEST_ROUTINE, NOMINAL, Conditions
from .generator import CLASSES, TILE_SIZE, label_index, make_tile

_NAMED = {"nominal": NOMINAL, "hardest_routine": HARDEST_ROUTINE}
SPLITS = {"train": 1, "val": 2, "test": 3}
"""The splits, and the seed from which each one's generated tiles grow."""


@dataclass(frozen=True, eq=False)
class TileSet:
    """Tiles with their labels.

    Attributes:
        images: uint8 (N, 1, S, S), grey.
        labels: int64 (N,), indices in CLASSES.
        boxes: N arrays int64 (n, 4) in pixels of ``images``; empty arrays where none are known.
        files: where each image came from; empty for generated tiles.
    """

    images: np.ndarray
    labels: np.ndarray
    boxes: list[np.ndarray] = field(repr=False)
    files: tuple[Path, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        n = len(self.labels)
        if self.images.dtype != np.uint8 or self.images.ndim != 4 or self.images.shape[1] != 1:
            raise ValueError(f"images must be uint8 (N, 1, S, S), got {self.images.dtype} {self.images.shape}")
        if not len(self.images) == n == len(self.boxes) or len(self.files) not in (0, n):
            raise ValueError(f"{len(self.images)} images, {n} labels, {len(self.boxes)} boxes, "
                             f"{len(self.files)} files: the numbers must agree")  # fmt: skip

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: slice | np.ndarray | Sequence[int]) -> TileSet:
        """A part of the set, by slice, index array or mask."""
        chosen = np.arange(len(self))[index]
        if chosen.ndim != 1:
            raise TypeError("index a TileSet with a slice, a mask or a list of indices")
        return TileSet(
            self.images[chosen],
            self.labels[chosen],
            [self.boxes[i] for i in chosen],
            tuple(self.files[i] for i in chosen) if self.files else (),
        )

    @property
    def digest(self) -> str:
        """sha256 of images and labels, as hex: equal digests mean equal data."""
        h = hashlib.sha256(str(self.images.shape).encode())
        h.update(np.ascontiguousarray(self.images))
        h.update(self.labels.astype("<i8").tobytes())
        return h.hexdigest()

    def counts(self) -> dict[str, int]:
        """How many tiles of each class."""
        return {name: int(k) for name, k in zip(CLASSES, np.bincount(self.labels, minlength=7), strict=True)}


def check_count(name: str, value: int) -> None:
    """ValueError, by the option's name, for what is no whole number of at least 1."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")


def check_size(size: int) -> None:
    """ValueError for an edge length that is neither the networks' nor the camera's."""
    if size not in (INPUT_SIZE, TILE_SIZE):
        raise ValueError(f"size must be {INPUT_SIZE} or {TILE_SIZE}, got {size!r}")


def check_split(split: str) -> None:
    """ValueError, which lists the splits, for the name of none."""
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")


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


def _one(index: int, seed: int, prior: np.ndarray | None, conditions: str | Conditions, size: int):
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
        c = getattr(Conditions, conditions)(rng) if conditions in ("routine", "wide") else _NAMED[conditions]
    tile = make_tile(label, tile_seed, conditions=c)
    if size == TILE_SIZE:
        return tile.image, label, tile.boxes
    s = size / TILE_SIZE
    boxes = tile.boxes * s
    boxes = np.concatenate([np.floor(boxes[:, :2]), np.ceil(boxes[:, 2:])], axis=1).astype(np.int64)
    return to_input(tile.image), label, boxes


def _some(indices: Iterable[int], seed: int, prior, conditions, size: int):
    results = [_one(i, seed, prior, conditions, size) for i in indices]
    images = np.stack([r[0] for r in results])[:, None]
    return images, np.array([r[1] for r in results], np.int64), [r[2] for r in results]


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
    names = ("routine", "wide", *_NAMED)
    if not isinstance(conditions, Conditions) and conditions not in names:
        raise ValueError(f"conditions must be a Conditions or one of {', '.join(names)}, got {conditions!r}")
    p = _check_prior(prior)
    n, seed = int(n), int(seed)
    if workers == 1 or n < 64:
        return TileSet(*_some(range(n), seed, p, conditions, size))
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
