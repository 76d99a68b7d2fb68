"""What a set of tiles is, and the checks of the options by which one is asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .camera import INPUT_SIZE
from .generator import CLASSES, TILE_SIZE

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
