"""How right the answers are, when the truth comes late, for few tiles, or not at all.

With labels: shares with intervals, also where the audit looks at doubtful tiles more often than at others. Without:
two estimates, each honest under an assumption that it cannot check itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from cvprod.measure import wilson
from cvprod.surface import CLASSES

CLEAN = CLASSES.index("clean")


@dataclass(frozen=True)
class Rate:
    """A share with its interval; `labels` is how many tiles it rests on. All nan where there are none."""

    estimate: float
    low: float
    high: float
    labels: int

    def __str__(self) -> str:
        return f"{self.estimate:.1%} ({self.low:.1%} to {self.high:.1%}, {self.labels} labels)"


def rate(hits: int, labels: int, confidence: float = 0.95) -> Rate:
    """A share of equally likely tiles, with Wilson's interval."""
    if not labels:
        return Rate(float("nan"), float("nan"), float("nan"), 0)
    return Rate(hits / labels, *wilson(hits, labels, confidence), labels)


def rates(labels: np.ndarray, predicted: np.ndarray) -> dict[str, Rate]:
    """Accuracy, defect recall and false-reject rate of audited tiles, all drawn with the same chance."""
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    defect, called = labels != CLEAN, predicted != CLEAN
    return {
        "accuracy": rate(int((labels == predicted).sum()), len(labels)),
        "defect_recall": rate(int((defect & called).sum()), int(defect.sum())),
        "false_reject_rate": rate(int((~defect & called).sum()), int((~defect).sum())),
    }


def weighted(hits: np.ndarray, chance: np.ndarray, confidence: float = 0.95) -> Rate:
    """A share of all tiles, from audited ones that were chosen with unequal chances.

    Args:
        hits: bool (N,), of the audited tiles.
        chance: float (N,), the probability with which each was chosen: 1 for every tile under review, 0.01 for others.

    Returns:
        Hájek's ratio estimate (each tile stands for 1 / chance tiles), with a normal interval cut at 0 and 1.

    Raises:
        ValueError: a chance outside (0, 1]. A tile that could not be chosen stands for nothing, and what it would
            have said is missing from the estimate.
    """
    hits, chance = np.asarray(hits, float), np.asarray(chance, float)
    if not len(hits):
        return rate(0, 0, confidence)
    if not ((chance > 0) & (chance <= 1)).all():
        raise ValueError("each chance of being audited must lie above 0 and be at most 1")
    weight = 1 / chance
    estimate = float((weight * hits).sum() / weight.sum())
    spread = float(np.sqrt(((1 - chance) * (weight * (hits - estimate)) ** 2).sum()) / weight.sum())
    reach = NormalDist().inv_cdf(0.5 + confidence / 2) * spread
    return Rate(estimate, max(0.0, estimate - reach), min(1.0, estimate + reach), len(hits))


def confidence_estimate(probabilities: np.ndarray) -> float:
    """Accuracy without labels: the mean of the largest probability, (N, C).

    Honest as long as the probabilities are calibrated on what comes now. They were on the unchanged line; on tiles that
    the network misreads with confidence they are not, and the estimate stays high.
    """
    return float(np.asarray(probabilities).max(1).mean())


def prior_estimate(confusion: np.ndarray, predicted: Sequence[int] | np.ndarray) -> np.ndarray:
    """The mix of true classes without labels, float64 (C,): what mix gives the predictions that are seen?

    Black-box shift estimation (Z. Lipton and others, ICML 2018), by non-negative least squares. Honest where nothing
    but the mix has changed.

    Args:
        confusion: (C, C), row = true class, column = predicted class, on labelled tiles of the unchanged line.
        predicted: classes predicted now.

    Raises:
        ValueError: a class without labelled tiles, whose errors are unknown.
    """
    from scipy.optimize import nnls

    table = np.asarray(confusion, float)
    if (table.sum(1) == 0).any():
        raise ValueError("the confusion matrix needs labelled tiles of every class")
    seen = np.bincount(predicted, minlength=len(table)) / len(predicted)
    found, _ = nnls((table / table.sum(1, keepdims=True)).T, seen)
    return found / found.sum()
