"""A plant that the seed draws: what its people say, what was measured, and what somebody recorded of two runtimes.

What the first capstone decides on. Speeds start from ledger rows that chapter 2 recorded on two processors, one of
which multiplies bytes (VNNI) (`capstone_rows.json`); the seed draws the plant, tails, disturbances and counted tiles.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import ndtr, ndtri

ROWS = Path(__file__).with_name("capstone_rows.json")
SKEWS = ("same", "rows", "classes", "probabilities", "preprocessing")
CORES, BUSY = 2, 0.8  # of a machine, and the share of its time that may be used
CLASSES = 7


def said(seed: int) -> dict:
    """What the plant's people say: numbers in their own units, and the sentence of each of them.

    Keys: strip_speed_m_per_min, strip_width_mm, mm_per_pixel, tile_pixels, overlap_pixels, mark_tolerance_mm,
    link_kbit_per_s, pause_s, hours_per_week, weeks_per_year, eur_per_year, missed_of_a_thousand, old_alarms_one_in,
    times_fewer, box_gb, box_share_taken, and `sentences`: requirement -> text.
    """
    rng = np.random.default_rng([seed, 1])
    plant = {
        "strip_speed_m_per_min": int(rng.integers(6, 30)) * 10,
        "strip_width_mm": int(rng.choice([900, 1000, 1120, 1250, 1500, 1800])),
        "mm_per_pixel": float(rng.choice([0.4, 0.5, 0.8])),
        "tile_pixels": int(rng.choice([192, 224, 256])),
        "overlap_pixels": int(rng.choice([32, 64])),
        "mark_tolerance_mm": int(rng.integers(15, 60)),
        "link_kbit_per_s": int(rng.choice([500, 1000, 2000, 4000])),
        "pause_s": int(rng.integers(15, 60)),
        "hours_per_week": int(rng.choice([80, 120, 144, 168])),
        "weeks_per_year": int(rng.integers(46, 53)),
        "eur_per_year": int(rng.integers(4, 40)) * 50,
        "missed_of_a_thousand": int(rng.integers(10, 60)),
        "old_alarms_one_in": int(rng.integers(4, 11)),
        "times_fewer": int(rng.integers(2, 5)),
        "box_gb": int(rng.choice([1, 2, 4])),
        "box_share_taken": float(rng.choice([0.5, 0.75])),
    }
    p = plant
    sentences = {
        "p99_latency_ms": f"At {p['strip_speed_m_per_min']} m/min the gun must hit within {p['mark_tolerance_mm']} mm.",
        "tiles_per_s": f"Every square of the {p['strip_width_mm']} mm gets looked at, at full speed.",
        "defect_recall": f"Of a thousand squares with a defect {p['missed_of_a_thousand']} may go out, and no more.",
        "false_reject_rate": f"The old camera cried wolf on one clean square in {p['old_alarms_one_in']}; "
        f"{p['times_fewer']} times fewer would do.",
        "model_size_mb": f"A new model comes over {p['link_kbit_per_s']} kbit/s, in the {p['pause_s']} s of a pause.",
        "memory_mb": f"The box has {p['box_gb']} GB, and our control software keeps {p['box_share_taken']:.0%} of it.",
        "cost_per_million_tiles_eur": f"Computing may cost {p['eur_per_year']} euros a year; we roll "
        f"{p['hours_per_week']} hours a week, {p['weeks_per_year']} weeks a year.",
    }
    return plant | {"sentences": sentences}


@dataclass(frozen=True)
class Bench:
    """What was measured for a plant. `rows` is all that its people see; `truth` is what they do not.

    rows: a dict for each artefact on each processor: `name`, `cpu`, `vnni`, `size_bytes`, `memory_mb`, `ms` and
    `p99_ms` (of the runs, in some of which a neighbour woke up), `defects` and `found`, `clean` and `rejected` (tiles).
    limits: requirement -> limit. eur_per_hour: of a machine with each processor.
    truth: (name, cpu) -> (ms, p99 ms, recall, false-reject rate).
    """

    rows: list[dict]
    limits: dict[str, float]
    eur_per_hour: dict[str, float]
    truth: dict[tuple[str, str], tuple[float, float, float, float]]

    def euros(self, row: dict, ms: float) -> float:
        """EUR for a million tiles, with as many machines of that processor as the line needs."""
        need = self.limits["tiles_per_s"]
        machines = max(1, math.ceil(need / (BUSY * CORES * 1000 / ms) - 1e-9))
        return machines * self.eur_per_hour[row["cpu"]] / (need * 3600) * 1e6

    def kept(self, row: dict, slack: float) -> bool:
        """Does it keep the contract in truth, with limits on times and money that are `slack` times as large?"""
        ms, p99, recall, rejects = self.truth[row["name"], row["cpu"]]
        most = self.limits
        return (
            recall >= most["defect_recall"]
            and rejects <= most["false_reject_rate"]
            and p99 <= slack * most["p99_latency_ms"]
            and row["size_bytes"] <= 1e6 * most["model_size_mb"]
            and row["memory_mb"] <= most["memory_mb"]
            and self.euros(row, ms) <= slack * most["cost_per_million_tiles_eur"]
        )

    def fault(self, choice: tuple[str, str] | None) -> str:
        """What is wrong with a choice of (name, cpu), or of None for nothing; "" where it is right."""
        proven = [row for row in self.rows if self.kept(row, 0.96) and row["defects"] > 1000]
        if choice is None:
            names = [(row["name"], row["cpu"]) for row in proven]
            return f"nothing chosen, and these keep everything: {names}" if proven else ""
        mine = next((row for row in self.rows if (row["name"], row["cpu"]) == tuple(choice)), None)
        if mine is None:
            return f"{choice!r} is in no row"
        if not self.kept(mine, 1.04):
            return (
                f"{choice} breaks the contract in truth (ms, p99, recall, false rejects): {self.truth[tuple(choice)]}"
            )
        ms = {key: times[0] for key, times in self.truth.items()}
        best = min(proven, key=lambda row: self.euros(row, ms[row["name"], row["cpu"]]), default=mine)
        paid, least = (self.euros(row, ms[row["name"], row["cpu"]]) for row in (mine, best))
        return (
            f"{choice} costs {paid / least:.2f} times what {best['name'], best['cpu']} costs"
            if paid > 1.1 * least
            else ""
        )


def bench(seed: int, runs: int = 7) -> Bench:
    """The plant's measurements, limits and prices."""
    rng = np.random.default_rng([seed, 2])
    recorded = json.loads(ROWS.read_text(encoding="utf-8"))
    limits = {
        "p99_latency_ms": float(rng.uniform(1.5, 20)),
        "tiles_per_s": float(np.exp(rng.uniform(np.log(300), np.log(12000)))),  # of one line, or of all the plant's
        "defect_recall": float(rng.choice([0.95, 0.96, 0.97])),
        "false_reject_rate": float(rng.choice([0.05, 0.08, 0.1])),
        "model_size_mb": float(rng.uniform(0.5, 14)),
        "memory_mb": 512.0,
    }
    euros = {"a": float(rng.uniform(0.03, 0.06)), "b": float(rng.uniform(0.04, 0.13))}
    limits["cost_per_million_tiles_eur"] = (
        float(rng.uniform(0.3, 3)) * euros["a"] / (limits["tiles_per_s"] * 3.6e-3) + 0.005
    )
    rows, truth = [], {}
    for name, record in recorded["rows"].items():
        fate = str(rng.choice(["good", "good", "bad", "lucky", "cries wolf"]))
        recall = limits["defect_recall"] + float(
            rng.uniform(0.014, 0.02) if fate in ("good", "cries wolf") else -rng.uniform(0.012, 0.03)
        )
        rejects = limits["false_reject_rate"] * float(
            rng.uniform(1.4, 2) if fate == "cries wolf" else rng.uniform(0.3, 0.6)
        )
        tiles = 6000 if fate != "lucky" else int(rng.integers(20, 45))  # whoever judged it had no time
        memory = float(rng.uniform(90, 300)) if rng.random() < 0.85 else float(rng.uniform(600, 900))
        found = tiles if fate == "lucky" else int(rng.binomial(tiles, recall))
        rejected = int(rng.binomial(6000, rejects))
        for cpu, ms in record["p50_ms"].items():
            tail = float(rng.uniform(1.2, 2.5))
            truth[name, cpu] = (ms, ms * tail, recall, rejects)
            noise = rng.lognormal(0, 0.03, (2, runs))
            noise[:, rng.choice(runs, 2, replace=False)] *= rng.uniform(2, 15)  # a neighbour woke up
            rows.append({
                "name": name, "cpu": cpu, "vnni": recorded["machines"][cpu]["vnni"], "size_bytes": record["size_bytes"],
                "memory_mb": memory, "ms": [float(x) for x in ms * noise[0]],
                "p99_ms": [float(x) for x in ms * tail * noise[1]], "defects": tiles, "found": found,
                "clean": 6000, "rejected": rejected,
            })  # fmt: skip
    return Bench([rows[i] for i in rng.permutation(len(rows))], limits, euros, truth)


@dataclass(frozen=True)
class Validation:
    """Scores of validation tiles, and what they tell of tiles to come.

    score: float64 (n,), larger means defect, on no particular scale. defect, trained: bool (n,): it has a defect; the
    network was trained with it.
    """

    score: np.ndarray
    defect: np.ndarray
    trained: np.ndarray
    apart: float
    scale: float

    def truth(self, threshold: float) -> tuple[float, float]:
        """(recall, false-reject rate) that a threshold has on the line, where a score at it or above means defect."""
        z = np.arcsinh(threshold / self.scale)
        return float(_recall(self.apart, z)), float(ndtr(-z))


def _recall(apart: float, z: float) -> float:
    """Share of the defects above z: most lie `apart` from the clean tiles, the hard ones 1 nearer."""
    return 0.85 * ndtr(apart - z) + 0.15 * ndtr(apart - 1.0 - z)


def validation(seed: int, recall: float, rejects: float) -> tuple[Validation, bool]:
    """Scores for limits of recall and false rejects, and whether any threshold keeps both."""
    rng = np.random.default_rng([seed, 3])
    possible = bool(rng.random() < 0.6)
    wanted = rejects * float(rng.uniform(0.2, 0.4) if possible else rng.uniform(2, 4))
    # The distance between the two kinds at which that share of clean tiles is rejected where the recall is just kept.
    low, high = 0.0, 12.0
    for _ in range(50):
        apart = (low + high) / 2
        low, high = (apart, high) if _recall(apart, -ndtri(wanted)) < recall else (low, apart)
    scale = float(10 ** rng.uniform(-2, 2))
    n, seen = 4000, 1500
    defect = np.r_[np.ones(n, bool), np.zeros(n, bool), rng.random(seen) < 0.5]
    hard = rng.random(len(defect)) < 0.15
    trained = np.r_[np.zeros(2 * n, bool), np.ones(seen, bool)]
    z = rng.normal(0, 1, len(defect)) + np.where(defect, apart - hard, 0.0)
    z += np.where(trained, np.where(defect, 2.0, -2.0), 0.0)  # what a network has seen it knows
    order = rng.permutation(len(z))
    return Validation(scale * np.sinh(z)[order], defect[order], trained[order], apart, scale), possible


def outputs(seed: int, tiles: int = 256) -> tuple[np.ndarray, np.ndarray, str]:
    """Logits of the trained network, what the exported one gave out for the same tiles, and one of `SKEWS`.

    Both float64 (tiles, 7). "same": the same up to the rounding of the runtime, INT8 included. "rows": the right
    answers, to other tiles. "classes": another order of the classes. "probabilities": a softmax at the end.
    "preprocessing": it saw other pixels.
    """
    rng = np.random.default_rng([seed, 4])
    skew = str(rng.choice(SKEWS))
    kind = rng.integers(CLASSES, size=tiles)
    logits = rng.normal(0, 1, (tiles, CLASSES))
    logits[np.arange(tiles), kind] += rng.uniform(4, 9, tiles)
    logits -= rng.uniform(0, 4)
    noise = float(rng.choice([1e-6, 1e-3, 0.15]))  # float32, float16, INT8
    given = logits.copy()
    if skew == "rows":
        batch = int(rng.choice([8, 32]))
        given = given.reshape(-1, batch, CLASSES)[:, rng.permutation(batch)].reshape(tiles, CLASSES)
    elif skew == "classes":
        order = rng.permutation(CLASSES)
        while (order == np.arange(CLASSES)).all():
            order = rng.permutation(CLASSES)
        given = given[:, order]
    elif skew == "probabilities":
        given = np.exp(given - given.max(axis=1, keepdims=True))
        given /= given.sum(axis=1, keepdims=True)
        noise = min(noise, 1e-3)
    elif skew == "preprocessing":
        turned = np.linalg.qr(rng.normal(0, 1, (CLASSES, CLASSES)))[0]
        share = float(rng.uniform(0.35, 0.6))
        given = (1 - share) * given + share * given @ turned + rng.normal(0, 1.5, given.shape)
    return logits, given + rng.normal(0, noise, given.shape), skew
