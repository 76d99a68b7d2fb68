"""Which detector sees which dial, how soon, and does it matter? Dials by detectors, at three severities.

Two columns belong together and are seldom shown together: what the detectors say, and what the dial does to the
accuracy. Neither follows from the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from .accuracy import Rate, rate
from .adwin import Adwin
from .calibration import WINDOW, Baseline, Thresholds, score_all, windows
from .detectors import auc
from .dials import DIALS, STRENGTHS
from .sample import Sample

#: Tiles of each window that an auditor labels.
AUDITED = 20


@dataclass(frozen=True)
class Cell:
    """One dial at one severity before one detector.

    auc: chance that a window with the change scores more than one without. power: share of such windows that raise an
    alarm. delay_tiles: sampled tiles from the change to the first alarm, on average, where windows are judged one after
    the other; for "errors" the labels that ADWIN needed. None where none came. false_alarms_per_week: of this
    detector, on windows without change.
    """

    dial: str
    severity: float
    strength: str
    detector: str
    auc: float
    power: float
    delay_tiles: float | None
    false_alarms_per_week: float


@dataclass(frozen=True, eq=False)
class DriftMap:
    """All cells, and the accuracy at each setting: (dial, strength) -> Rate."""

    cells: tuple[Cell, ...]
    accuracy: dict[tuple[str, str], Rate]
    scores: dict[tuple[str, str], np.ndarray]

    def at(self, dial: str, strength: str, detector: str) -> Cell:
        """One cell. Raises KeyError."""
        for cell in self.cells:
            if (cell.dial, cell.strength, cell.detector) == (dial, strength, detector):
                return cell
        raise KeyError((dial, strength, detector))

    def table(self, value: str, strength: str) -> dict[str, dict[str, float]]:
        """detector -> dial -> a field of the cells, at one strength: made for a data frame."""
        found: dict[str, dict[str, float]] = {}
        for cell in self.cells:
            if cell.strength == strength:
                found.setdefault(cell.detector, {})[cell.dial] = getattr(cell, value)
        return found


def jobs(tiles: int, seed: int, dials: Iterable[str] = tuple(DIALS)) -> dict[tuple[str, str], tuple]:
    """(dial, strength) -> what `dials.draw_all` is asked for. Dials without pictures of their own are not in it."""
    found = {}
    for k, name in enumerate(DIALS):
        if name in dials and name not in ("none", "concept"):
            for j, (strength, severity) in enumerate(zip(STRENGTHS, DIALS[name].severities, strict=True)):
                found[name, strength] = (name, severity, tiles, seed + 10 * k + j)
    return found


def measure(
    baseline: Baseline, thresholds: Thresholds, samples: dict[tuple[str, str], Sample], *, count: int, seed: int = 0,
    size: int = WINDOW,
) -> DriftMap:  # fmt: skip
    """Score windows of every sample.

    Args:
        baseline, thresholds: the detectors, and null windows that set no threshold (`baseline.check`).
        samples: (dial, strength) -> labelled tiles. "none" is needed, as ("none", "none"); "concept" is made from it.
        count: windows of each. seed: of their drawing and of the labels that "concept" changes.
    """
    detectors, check = baseline.detectors(), baseline.check
    quiet = samples["none", "none"]
    calm_errors = np.array([w.wrong.mean() for w in windows(quiet, max(count, 100), seed, size=size)])
    weekly = thresholds.over(check).mean(0) * thresholds.windows_per_week
    error_alarms = adwin_false_alarms(float(quiet.wrong.mean()), AUDITED * thresholds.windows_per_week, seed)
    settings = {
        (name, strength): (dial.severities[j], samples.get((name, strength), quiet))
        for name, dial in DIALS.items()
        for j, strength in enumerate(STRENGTHS)
        if (name, strength) in samples or name == "concept" or (name == "none" and strength == "mild")
    }
    cells, accuracy, scores = [], {}, {}
    for k, ((name, strength), (severity, sample)) in enumerate(settings.items()):
        if DIALS[name].concept:
            sample = relabel(sample, severity, seed)
        some = windows(sample, count, seed + k, size=size)
        found = score_all(detectors, some)
        wrong = sample.wrong
        accuracy[name, strength] = rate(int((~wrong).sum()), len(wrong))
        scores[name, strength] = found
        power = thresholds.over(found).mean(0)
        for i, detector in enumerate(detectors):
            delay = size / power[i] if power[i] else None
            cells.append(
                Cell(name, severity, strength, detector, auc(check[:, i], found[:, i]), float(power[i]), delay,
                     float(weekly[i]))
            )  # fmt: skip
        delay = adwin_delay(float(quiet.wrong.mean()), wrong, seed + k)
        cells.append(
            Cell(name, severity, strength, "errors", auc(calm_errors, [w.wrong.mean() for w in some]),
                 float(delay is not None), delay, error_alarms)
        )  # fmt: skip
    return DriftMap(tuple(cells), accuracy, scores)


def relabel(sample: Sample, severity: float, seed: int) -> Sample:
    """The same tiles under the concept dial: not a number changes but labels."""
    from .dials import judged

    return Sample(sample.descriptors, sample.embeddings, sample.probabilities, judged(sample.labels, severity, seed))


def adwin_delay(before: float, wrong: np.ndarray, seed: int, *, warm: int = 2000, most: int = 4000) -> float | None:
    """Labels from the change to ADWIN's alarm that the error has risen; None where none came in `most` labels.

    The stream begins with `warm` labels at the error rate `before`; after that the errors `wrong` come in random order,
    again and again.
    """
    rng, watch = np.random.default_rng(seed), Adwin()
    for value in rng.random(warm) < before:
        watch.add(float(value))
    for i, value in enumerate(rng.choice(wrong, most)):
        if watch.add(float(value)) and watch.rose:
            return float(i + 1)
    return None


def adwin_false_alarms(error: float, labels_per_week: float, seed: int, *, streams: int = 40, length: int = 5000):
    """ADWIN's alarms in a week on an error rate that never changes, counted on simulated labels."""
    rng, alarms = np.random.default_rng(seed), 0
    for _ in range(streams):
        watch = Adwin()
        alarms += sum(watch.add(float(value)) and watch.rose for value in rng.random(length) < error)
    return alarms / (streams * length) * labels_per_week


def seen(cells: Sequence[Cell], dial: str, *, strength: str = "strong", least: float = 0.95) -> list[str]:
    """Detectors without labels whose AUC for a dial is at least so much."""
    return [c.detector for c in cells
            if (c.dial, c.strength) == (dial, strength) and c.auc >= least and c.detector != "errors"]  # fmt: skip
