"""What is known about some tiles that were served: numbers, no pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cvprod.serving.descriptors import NAMES, describe


@dataclass(frozen=True, eq=False)
class Sample:
    """Rows that belong together, in the order in which they were served.

    Attributes:
        descriptors: float32 (N, 8), see `descriptors.NAMES`.
        embeddings: float32 (N, D), what enters the model's last layer.
        probabilities: float32 (N, C), calibrated.
        labels: int64 (N,), where the truth is known; else None.
    """

    descriptors: np.ndarray
    embeddings: np.ndarray
    probabilities: np.ndarray
    labels: np.ndarray | None = None

    def __post_init__(self) -> None:
        n = len(self.descriptors)
        rows = [self.embeddings, self.probabilities, *([] if self.labels is None else [self.labels])]
        if any(len(part) != n for part in rows):
            raise ValueError(f"the parts of a sample must have equally many rows, not {[n, *map(len, rows)]}")
        if self.descriptors.ndim != 2 or self.descriptors.shape[1] != len(NAMES):
            raise ValueError(f"descriptors must have the shape (N, {len(NAMES)}), not {self.descriptors.shape}")
        for name in ("descriptors", "embeddings", "probabilities"):
            if not np.isfinite(getattr(self, name)).all():
                raise ValueError(f"{name} hold a value that is not finite: a broken model must not pass for drift")

    def __len__(self) -> int:
        return len(self.descriptors)

    def __getitem__(self, rows: slice | np.ndarray | Sequence[int]) -> Sample:
        """Some of the rows, by slice, index array or mask."""
        chosen = np.arange(len(self))[rows]
        labels = None if self.labels is None else self.labels[chosen]
        return Sample(self.descriptors[chosen], self.embeddings[chosen], self.probabilities[chosen], labels)

    @property
    def predicted(self) -> np.ndarray:
        """int64 (N,): the most probable class."""
        return self.probabilities.argmax(1)

    @property
    def wrong(self) -> np.ndarray:
        """bool (N,): where the prediction is not the label. Raises ValueError where no labels are known."""
        if self.labels is None:
            raise ValueError("this sample has no labels: whether an answer was right is not known")
        return self.predicted != self.labels


def sample(embedder, tiles: np.ndarray, labels: np.ndarray | None = None) -> Sample:
    """Describe and embed tiles: uint8 (N, 1, 96, 96), labels int64 (N,) where known."""
    probabilities, embeddings = embedder(tiles)
    return Sample(describe(tiles), embeddings, probabilities, labels)


def join(samples: Sequence[Sample]) -> Sample:
    """Several samples as one, in order. Labels are kept where all have them."""
    if not samples:
        raise ValueError("no samples to join")
    known = all(s.labels is not None for s in samples)
    return Sample(
        np.concatenate([s.descriptors for s in samples]),
        np.concatenate([s.embeddings for s in samples]),
        np.concatenate([s.probabilities for s in samples]),
        np.concatenate([s.labels for s in samples]) if known else None,
    )
