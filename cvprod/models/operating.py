"""The operating point: how sure a network must be before it calls a tile a defect.

A classifier takes the class with the largest logit, which weighs both errors alike; a plant does not. One number, added
to the logit of the clean class, trades missed defects for false rejects. In a file it is a change of one bias.
Source of the plot: A. Martin and others, "The DET curve in assessment of detection task performance", Eurospeech 1997.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cvprod.measure import wilson
from cvprod.surface import TileSet, make_set

from .evaluation import Evaluation


def with_clean(tiles: TileSet, n: int, *, seed: int) -> TileSet:
    """The tiles and `n` more clean ones: of seven classes that come equally often, few tiles are left for that rate.

    The tiles of a folder of one's own are returned as they are: generated ones have no place among them.
    """
    if tiles.files:
        return tiles
    more = make_set(n, seed=seed, prior={"clean": 1})
    images = np.concatenate([tiles.images, more.images])
    return TileSet(images, np.concatenate([tiles.labels, more.labels]), [*tiles.boxes, *more.boxes])


def shifted(evaluation: Evaluation, shift: float) -> Evaluation:
    """The same test with `shift` added to the logit of the clean class: above 0, fewer tiles are called defects.

    Raises ValueError where no class is clean, so that there is nothing to trade.
    """
    logits = evaluation.logits.copy()
    logits[:, _clean(evaluation)] += shift
    return replace(evaluation, logits=logits)


def det(evaluation: Evaluation) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every operating point that the tiles tell apart: (shifts, ascending; false rejects; misses), float64 (n,) each.

    The two rates are shares of the clean and of the defect tiles: one falls with the shift, the other rises. Raises
    ValueError where one of the two kinds is missing.
    """
    clean = _clean(evaluation)
    others = np.delete(evaluation.logits, clean, axis=1).max(1).astype(np.float64)
    margins = others - evaluation.logits[:, clean]  # a tile is called a defect while the shift is below its margin
    of_clean, of_defects = (np.sort(margins[chosen]) for chosen in (evaluation.labels == clean,
                                                                    evaluation.labels != clean))  # fmt: skip
    if not len(of_clean) or not len(of_defects):
        raise ValueError("an operating point needs clean tiles and tiles with defects: one of the two is missing.")
    # Between two margins nothing changes, so the middle of each gap stands for it.
    margins.sort()
    shifts = np.concatenate([[margins[0] - 1], (margins[1:] + margins[:-1]) / 2, [margins[-1] + 1]])
    rejects = 1 - np.searchsorted(of_clean, shifts, side="right") / len(of_clean)
    misses = np.searchsorted(of_defects, shifts, side="right") / len(of_defects)
    return shifts, rejects, misses


def choose(evaluation: Evaluation, *, false_rejects: float, misses: float, confidence: float = 0.95) -> float:
    """The shift that stays farthest from two limits (shares above 0), as far as the tiles can tell.

    Of each rate the upper end of its Wilson interval counts, as a share of the limit; the shift is taken at which the
    larger of the two is smallest. The interval matters: one miss more or less is half the way to a limit of a few
    percent. Of equally good shifts the middle one is taken. Choose on validation tiles and judge on test tiles: a
    threshold fitted to the tiles that judge it flatters itself.
    """
    if min(false_rejects, misses) <= 0:
        raise ValueError(f"limits must be above 0, not {false_rejects} and {misses}.")
    shifts, rejects, missed = det(evaluation)
    n_clean = int((evaluation.labels == _clean(evaluation)).sum())
    upper = _upper(rejects, n_clean, confidence), _upper(missed, evaluation.n - n_clean, confidence)
    strain = np.maximum(upper[0] / false_rejects, upper[1] / misses)
    best = np.flatnonzero(strain <= strain.min() + 1e-12)
    return float((shifts[best[0]] + shifts[best[-1]]) / 2)


def _upper(shares: np.ndarray, n: int, confidence: float) -> np.ndarray:
    counts = np.rint(shares * n).astype(int)
    ends = {count: wilson(int(count), n, confidence)[1] for count in np.unique(counts)}
    return np.array([ends[count] for count in counts])


def _clean(evaluation: Evaluation) -> int:
    if evaluation.clean is None:
        raise ValueError("no class is called clean, so there are no false rejects to trade for misses.")
    return evaluation.classes.index(evaluation.clean)
