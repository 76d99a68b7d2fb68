"""What a classifier is worth to the plant: accuracy, and the two errors that cost money.

A *missed defect* is a defect tile called clean; a *false reject* is a clean tile called a defect. A defect called by
another defect's name is an error of accuracy only: the strip is stopped all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from math import isnan

import numpy as np
import torch
from torch import nn

from cvprod.measure import wilson
from cvprod.models.own import first_line
from cvprod.surface import CLASSES, TileSet

Predict = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Logits and true labels of one test, and every metric computed from them.

    logits: float32 (N, 7); labels: int64 (N,). A metric without any tile to count (no clean tile, say) is nan.
    classes: names in the order of the logits, the book's seven or those of a contract of one's own. clean: which of
    them is no defect; None where all are, and then nothing is rejected falsely.
    """

    logits: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...] = CLASSES
    clean: str | None = "clean"

    def __post_init__(self) -> None:
        if self.logits.ndim != 2 or self.logits.shape[1] != len(self.classes):
            raise ValueError(f"logits of shape {self.logits.shape} are not for {len(self.classes)} classes: "
                             f"{', '.join(self.classes)}")  # fmt: skip
        if len(self.labels) and not 0 <= self.labels.min() <= self.labels.max() < len(self.classes):
            raise ValueError(f"labels from {self.labels.min()} to {self.labels.max()} are not indices of "
                             f"{len(self.classes)} classes: {', '.join(self.classes)}")  # fmt: skip
        if self.clean is not None and self.clean not in self.classes:
            raise ValueError(f"{self.clean!r} is none of the classes {', '.join(self.classes)}: "
                             "name the one that is no defect, or None")  # fmt: skip

    @property
    def n(self) -> int:
        """Number of tiles."""
        return len(self.labels)

    @cached_property
    def confusion(self) -> np.ndarray:
        """int64 (7, 7): row = true class, column = predicted class."""
        table = np.zeros((len(self.classes), len(self.classes)), np.int64)
        np.add.at(table, (self.labels, self.logits.argmax(1)), 1)
        return table

    def counts(self, metric: str) -> tuple[int, int]:
        """(numerator, denominator) of `accuracy`, `defect_recall`, `false_reject_rate` or of a class's recall."""
        table = self.confusion
        if metric == "accuracy":
            return int(np.trace(table)), int(table.sum())
        clean = None if self.clean is None else self.classes.index(self.clean)
        if clean is None and metric == "defect_recall":
            return int(table.sum()), int(table.sum())  # nothing can be called clean
        if clean is None and metric == "false_reject_rate":
            return 0, 0
        clean_row = table[clean or 0]
        if metric == "defect_recall":
            defects = int(table.sum() - clean_row.sum())
            return defects - int(table[:, clean].sum() - clean_row[clean]), defects
        if metric == "false_reject_rate":
            return int(clean_row.sum() - clean_row[clean]), int(clean_row.sum())
        if metric in self.classes:
            k = self.classes.index(metric)
            return int(table[k, k]), int(table[k].sum())
        names = ("accuracy", "defect_recall", "false_reject_rate", *self.classes)
        raise ValueError(f"unknown metric {metric!r}; known: {', '.join(names)}")

    def rate(self, metric: str) -> float:
        """The metric as a fraction, nan where nothing counts."""
        hits, total = self.counts(metric)
        return hits / total if total else float("nan")

    def interval(self, metric: str, confidence: float = 0.95) -> tuple[float, float]:
        """Wilson interval of the metric."""
        return wilson(*self.counts(metric), confidence)

    @property
    def accuracy(self) -> float:
        """Share of tiles given their own class."""
        return self.rate("accuracy")

    @property
    def defect_recall(self) -> float:
        """Share of defect tiles called any defect, i.e. not called clean."""
        return self.rate("defect_recall")

    @property
    def false_reject_rate(self) -> float:
        """Share of clean tiles called a defect."""
        return self.rate("false_reject_rate")

    @property
    def per_class(self) -> dict[str, float]:
        """Recall of each class that occurs."""
        return {name: self.rate(name) for name in self.classes if self.counts(name)[1]}

    @property
    def hardest(self) -> str:
        """The class with the lowest recall."""
        return min(self.per_class, key=self.per_class.__getitem__)

    def summary(self) -> dict:
        """Plain numbers for a model card or a JSON file; None for a metric without any tile to count."""
        low, high = self.interval("accuracy")

        def plain(value: float) -> float | None:
            return None if isnan(value) else round(value, 5)

        return {
            "n_tiles": self.n,
            "accuracy": plain(self.accuracy),
            "accuracy_interval_95": [plain(low), plain(high)],
            "defect_recall": plain(self.defect_recall),
            "false_reject_rate": plain(self.false_reject_rate),
            "per_class": {name: plain(value) for name, value in self.per_class.items()},
        }


def evaluate(
    predict: Predict,
    tileset: TileSet,
    *,
    batch: int = 64,
    workers: int = 1,
    classes: Sequence[str] = CLASSES,
    clean: str | None = "clean",
) -> Evaluation:
    """Run `predict` (uint8 (n, 1, S, S) -> logits (n, 7)) over the set in batches, and score it.

    tileset: anything with `images` (n, ...) and `labels` (n,). classes, clean: of a network of one's own, in the order
    of its outputs; a contract names them (`contract.class_names`).

    The activations of a larger batch than the default fit no CPU's cache, and a tile takes longer. workers: Python
    threads that share the batches, where `predict` bears that. PyTorch and ONNX Runtime do, and give up the
    interpreter's lock while they compute; give them one thread each for their operators.

    Raises ValueError for an empty set, and when `predict` returns another shape or a value that is not finite: a
    broken export must not pass for a bad model.
    """
    if not len(tileset.labels):
        raise ValueError("cannot evaluate on an empty tile set")

    def answer(start: int) -> np.ndarray:
        images = tileset.images[start : start + batch]
        try:
            logits = np.asarray(predict(images), dtype=np.float32)
        except (RuntimeError, TypeError) as error:
            raise ValueError(
                f"predict does not take tiles {images.dtype} {images.shape} ({first_line(error)}): give it tiles of "
                "the shape and type that its network was made for"
            ) from error
        if logits.shape != (len(images), len(classes)):
            raise ValueError(
                f"predict returned shape {logits.shape} for {len(images)} tiles; "
                f"expected ({len(images)}, {len(classes)}), one for each of {', '.join(classes)}"
            )
        if not np.isfinite(logits).all():
            raise ValueError(f"predict returned a value that is not finite in tiles {start}..{start + len(images) - 1}")
        return logits

    starts = range(0, len(tileset.labels), batch)
    if workers == 1:
        parts = list(map(answer, starts))
    else:
        with ThreadPoolExecutor(workers) as pool:
            parts = list(pool.map(answer, starts))
    return Evaluation(np.concatenate(parts), np.asarray(tileset.labels, dtype=np.int64), tuple(classes), clean)


def predictor(model: nn.Module, threads: int | None = None, batch: int = 32) -> Predict:
    """The module as a `predict` function: uint8 ndarray (N, 1, 96, 96) -> float32 ndarray (N, 7).

    Puts the module in eval mode. threads: torch threads during the call (restored after); None leaves them. batch:
    tiles in one forward pass, which bounds the memory whatever N is; with more, a layer's output outgrows 32 MB, and
    glibc fetches such a block from the system anew each time.
    """
    model.eval()

    @torch.inference_mode()
    def predict(images: np.ndarray) -> np.ndarray:
        before = torch.get_num_threads()
        if threads:
            torch.set_num_threads(threads)
        try:
            tensors = torch.from_numpy(np.ascontiguousarray(images)).split(batch)
            return torch.cat([model(part).float() for part in tensors]).numpy()
        finally:
            if threads:
                torch.set_num_threads(before)

    return predict
