"""Feedback loops: what a model does to the labels from which the next one learns.

Where labels come from the model's own verdicts, or only from what it rejected, its mistakes become truth: the books
show success while the strip gets worse. `rounds` runs such a loop and keeps both accounts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cvprod.surface import CLASSES

from . import heads
from .tiles import Embedded

CLEAN = CLASSES.index("clean")


@dataclass(frozen=True)
class Round:
    """One retraining. booked: recall of defects by the labels in the books; true: by the steel. labelled: tiles that a
    person looked at."""

    booked: float
    true: float
    labelled: int


def books(source: str, predicted: np.ndarray, truth: np.ndarray, rng: np.random.Generator, audit: float = 0.1):
    """The labels that reach the training, and whether a person gave them: int (N,), bool (N,).

    source: "own verdict" (nobody looks), "rejected only" (a person looks at what was called a defect; what was called
    clean is booked as clean), or "rejected and audit" (a random share `audit` of everything is looked at as well, and
    only what was looked at trains). Raises ValueError for another source.
    """
    rejected = predicted != CLEAN
    looked = {
        "own verdict": np.zeros(len(truth), bool),
        "rejected only": rejected,
        "rejected and audit": rejected | (rng.random(len(truth)) < audit),
    }
    if source not in looked:
        raise ValueError(f"no source of labels {source!r}; there are {', '.join(looked)}.")
    return np.where(looked[source], truth, predicted), looked[source]


def rounds(source: str, pool: Embedded, test: Embedded, *, count: int = 6, seed: int = 0) -> list[Round]:
    """Retrain `count` times on what a line books, and account twice.

    pool: tiles that pass in an order drawn by `seed`, a share of them each round; test: tiles with true labels, for the
    honest account. The training starts from the live head each time, as a plant would do it.
    """
    rng, head, told = np.random.default_rng(seed), heads.shipped().head, []
    pool, size = pool[rng.permutation(len(pool))], len(pool) // count
    for number in range(count):
        batch = pool[number * size : (number + 1) * size]
        booked, looked = books(source, head.predict(batch.x), batch.y, rng)
        told.append(Round(_recall(head.predict(batch.x), booked), _recall(head.predict(test.x), test.y), looked.sum()))
        if source == "rejected and audit":
            # What was not looked at has no label. A tile called clean stands for all that the audit did not draw.
            called = head.predict(batch.x) == CLEAN
            weights = np.where(called, 1 / 0.1, 1.0)[looked]
            head = heads.fit(batch.x[looked], booked[looked], head, weights=weights)
        else:
            head = heads.fit(batch.x, booked, head)
    told.append(Round(told[-1].booked, _recall(head.predict(test.x), test.y), 0))
    return told


def _recall(predicted: np.ndarray, labels: np.ndarray) -> float:
    """Share of the defects, by these labels, that were not called clean."""
    defects = labels != CLEAN
    return float((predicted[defects] != CLEAN).mean()) if defects.any() else float("nan")
