"""Thresholds of all detectors from one null distribution, stated as false alarms a week.

A window in which nothing has changed raises an alarm now and then. How often is a choice; the plant makes it in alarms
a week, over all detectors together. Five detectors that each keep the rate would together exceed it; dividing it by
five would be too strict, for they look at the same tiles. So the null windows are scored by all of them at once, and
the rate is set for the smallest of the five p-values (P. Westfall and S. Young, "Resampling-Based Multiple Testing",
1993).

A `Baseline` is kept beside the model: the reference, and the scores of null windows against it. Both come from tiles
that the other has never seen: a reference that holds the tiles it judges finds them too familiar.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cvprod.contract import Contract

from .detectors import DETECTORS, Score, fit
from .sample import Sample

WINDOW = 200
SHIPPED = Path(__file__).parent / "reference" / "steel.safetensors"


def hours_per_week(contract: Contract) -> float:
    """Hours that the line runs in a week of the contract's year."""
    return contract.line.hours_per_year / (365.25 / 7)


def score_all(scores: Mapping[str, Score], windows: list[Sample]) -> np.ndarray:
    """float64 (windows, detectors), in the order of `scores`."""
    return np.array([[score(window) for score in scores.values()] for window in windows])


def windows(pool: Sample, count: int, seed: int, *, size: int = WINDOW) -> list[Sample]:
    """`count` windows drawn from a pool: disjoint ones as long as there are tiles, then drawn anew.

    Raises ValueError where the pool does not hold one window.
    """
    if size > len(pool):
        raise ValueError(f"a window of {size} tiles does not fit into a pool of {len(pool)}: draw more tiles")
    rng, found = np.random.default_rng(seed), []
    while len(found) < count:
        rows = rng.permutation(len(pool))
        found += [pool[rows[i : i + size]] for i in range(0, len(pool) - size + 1, size)]
    return found[:count]


@dataclass(frozen=True, eq=False)
class Thresholds:
    """When each detector speaks.

    Attributes:
        limits: detector -> the score that an alarm exceeds.
        windows_per_week: how many are judged.
        stated: false alarms a week that were asked for, over all detectors together.
        null: the scores they were set on, (count, detectors).
    """

    limits: Mapping[str, float]
    windows_per_week: float
    stated: float
    null: np.ndarray

    def alarms(self, scores: Mapping[str, float]) -> list[str]:
        """The detectors that speak. A score that is missing or not a number is an alarm: silence must be earned."""
        return [name for name, limit in self.limits.items() if not scores.get(name, float("nan")) <= limit]

    def over(self, scores: np.ndarray) -> np.ndarray:
        """bool, of the shape of `scores` (..., detectors): which exceed their limit."""
        return ~(scores <= np.array(list(self.limits.values())))

    def per_week(self, scores: np.ndarray) -> float:
        """Alarms a week, of any detector, if all windows were like these (count, detectors)."""
        return float(self.over(scores).any(1).mean()) * self.windows_per_week

    def p_value(self, name: str, score: float) -> float:
        """Share of null windows with at least this score, never 0."""
        column = self.null[:, list(self.limits).index(name)]
        return (1 + int((column >= score).sum())) / (1 + len(column))


def set_limits(null: np.ndarray, false_alarms_per_week: float, windows_per_week: float) -> Thresholds:
    """Thresholds at which so many null windows a week make any of the detectors speak.

    Args:
        null: scores (count, detectors) of windows in which nothing has changed, in the order of `DETECTORS`.
        false_alarms_per_week: what the plant bears, over all detectors.
        windows_per_week: how many are judged.

    Raises:
        ValueError: too few null windows for that rate; the message says how many it takes.
    """
    null = np.asarray(null, float)
    if null.ndim != 2 or null.shape[1] != len(DETECTORS) or not np.isfinite(null).all():
        raise ValueError(f"null scores must be finite and of the shape (count, {len(DETECTORS)}), not {null.shape}")
    count, rate = len(null), false_alarms_per_week / windows_per_week
    if not 0 < rate < 0.5:
        raise ValueError(f"{false_alarms_per_week:g} false alarms in {windows_per_week:g} windows a week is no rate")
    allowed = int(rate * (count + 1) + 1e-9)
    if allowed < 3:
        raise ValueError(
            f"{count} null windows cannot set {false_alarms_per_week:g} false alarms in {windows_per_week:.0f} "
            f"windows: take at least {int(np.ceil(3 / rate))}"
        )
    ordered = -np.sort(-null, axis=0)
    deepest = next(r for r in range(count - 1, -1, -1) if (null > ordered[r]).any(1).sum() <= allowed)
    limits = dict(zip(DETECTORS, ordered[deepest].tolist(), strict=True))
    return Thresholds(limits, windows_per_week, false_alarms_per_week, null)


@dataclass(frozen=True, eq=False)
class Baseline:
    """What a window is compared with, kept beside the model that it belongs to.

    Attributes:
        reference: tiles of a time that is known to be good.
        null: scores of null windows, for the thresholds. check: scores of others, to hold the rate against.
        about: model (sha256), tiles in the pools, seeds, window.
    """

    reference: Sample
    null: np.ndarray
    check: np.ndarray
    about: Mapping[str, object]

    def thresholds(
        self, contract: Contract, *, false_alarms_per_week: float = 2.0, per_hour: float = 1.0
    ) -> Thresholds:
        """For so many windows an hour of production; see `set_limits`."""
        return set_limits(self.null, false_alarms_per_week, per_hour * hours_per_week(contract))

    def detectors(self) -> dict[str, Score]:
        return fit(self.reference)

    def save(self, path: Path) -> None:
        """Whole or not at all."""
        from safetensors.numpy import save

        from cvprod.files import write_atomic

        arrays = {
            "descriptors": self.reference.descriptors, "embeddings": self.reference.embeddings.astype(np.float16),
            "probabilities": self.reference.probabilities, "null": self.null.astype(np.float32),
            "check": self.check.astype(np.float32),
        }  # fmt: skip
        write_atomic(path, save(arrays, {"about": json.dumps(dict(self.about), sort_keys=True)}))


def load_baseline(path: Path = SHIPPED, *, model: str | None = None) -> Baseline:
    """Read a baseline. `model`: sha256 of the model in use; another model's baseline is refused.

    Raises ValueError, with what to do.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            about = json.loads(file.metadata()["about"])
            part = {name: file.get_tensor(name) for name in ("descriptors", "embeddings", "probabilities")}
            null, check = file.get_tensor("null").astype(float), file.get_tensor("check").astype(float)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no baseline ({error}): make one, python -m cvprod.monitoring calibrate") from None
    if model is not None and about.get("model") != model:
        raise ValueError(
            f"the baseline {path.name} belongs to another model: each model sees tiles in its own way. "
            "Make one for this model: python -m cvprod.monitoring calibrate"
        )
    part["embeddings"] = part["embeddings"].astype(np.float32)
    return Baseline(Sample(**part), null, check, about)


def make_baseline(
    embedder, *, reference: int = 1000, pool: int = 30_000, count: int = 1000, seed: int = 800, workers: int = 1,
    note=lambda text: None,
) -> Baseline:  # fmt: skip
    """Draw, describe and embed tiles of the unchanged line, and score null windows of them.

    Args:
        embedder: of the model that serves.
        reference: its tiles. pool: tiles from which the null windows come, and as many again for the check. A pool is
            no infinite line: where windows outnumber its tiles they repeat them, and the rate on the check windows
            says what that costs.
        count: windows of each kind.
        seed: of the tiles. workers: processes that draw them.
        note: told how far it has come.
    """
    from .dials import draw_all
    from .sample import join, sample

    def drawn(n: int, seed: int) -> Sample:
        parts = []
        for first in range(0, n, 2000):
            size = min(2000, n - first)
            ((tiles, labels),) = draw_all([("none", 0.0, size, seed * 1000 + first // 2000)], workers=workers)
            parts.append(sample(embedder, tiles, labels))
            note(f"seed {seed}: {first + size} of {n} tiles")
        return join(parts)

    good = drawn(reference, seed)
    scores = fit(good)
    null, check = (score_all(scores, windows(drawn(pool, seed + k), count, seed + k)) for k in (1, 2))
    about = {"model": embedder.card.sha256, "pool": pool, "seed": seed, "window": WINDOW}
    return Baseline(good, null, check, about)
