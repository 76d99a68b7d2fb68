"""The same versions before three kinds of gates, some hundred times over: what each lets through, stops and costs.

A stream is a version's life as a canary: tile after tile, was the stable version right, was the canary, did they say
the same. Everything is an array, so that the rates can be counted instead of believed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import pandas as pd

from cvprod.measure import wilson
from cvprod.rollout.gates import ALPHA
from cvprod.rollout.sequential import evidence, first


@dataclass(frozen=True, eq=False)
class Streams:
    """stable, canary: bool (n, length), was it right; agree: did both say the same (both wrong may still differ)."""

    stable: np.ndarray
    canary: np.ndarray
    agree: np.ndarray

    @property
    def d(self) -> np.ndarray:
        """1 where only the canary was wrong, -1 where only the stable version was."""
        return self.stable.astype(np.int8) - self.canary

    def labels(self, pairs: np.ndarray) -> np.ndarray:
        """Labels that `pairs` (n,) pairs of each stream need, if only disagreements are looked at."""
        counted = np.concatenate([np.zeros((len(self.agree), 1), int), np.cumsum(~self.agree, axis=1)], axis=1)
        return counted[np.arange(len(self.agree)), pairs]


def streams(
    drop: float, n: int = 400, length: int = 4000, *, accuracy: float = 0.95, flips: float = 0.02, seed: int = 0
) -> Streams:
    """Versions that are worse by `drop`, with `flips` of the tiles won, and as many lost, by chance alone.

    Raises ValueError for shares that do not fit into each other.
    """
    if min(drop, flips) < 0 or not flips <= 1 - accuracy or drop + flips > accuracy:
        raise ValueError(f"no such version: accuracy {accuracy}, drop {drop}, flips {flips}.")
    random = np.random.default_rng(seed)
    u = random.random((n, length))
    lost, won = u < drop + flips, (u >= drop + flips) & (u < drop + 2 * flips)
    both_wrong = (u >= drop + 2 * flips) & (u < drop + flips + 1 - accuracy)
    differ = lost | won | (both_wrong & (random.random((n, length)) < 0.5))
    return Streams(~(won | both_wrong), ~(lost | both_wrong), ~differ)


@dataclass(frozen=True, eq=False)
class Verdicts:
    """What one gate did with each stream. shipped, stopped: bool (n,), where neither it still holds; pairs, labels:
    int (n,), audited tiles until then, and how many of them somebody had to look at."""

    shipped: np.ndarray
    stopped: np.ndarray
    pairs: np.ndarray
    labels: np.ndarray


def threshold(given: Streams, *, per_check: int, limit: float = 0.9, failures: int = 5, checks: int = 10) -> Verdicts:
    """The mean accuracy of each minute against a fixed limit; `failures` of `checks` stop it, else it is shipped."""
    seen = given.canary[:, : per_check * checks].reshape(len(given.canary), checks, per_check)
    bad = np.cumsum(seen.mean(-1) < limit, axis=1) >= failures
    at = first(bad)
    stopped = at > 0
    pairs = np.where(stopped, at, checks) * per_check
    return Verdicts(~stopped, stopped, pairs, pairs)


def peeking(given: Streams, *, every: int = 50, most: int = 2000, alpha: float = ALPHA) -> Verdicts:
    """A one-sided z-test on the pairs, looked at again and again as if each look were the only one."""
    n = np.arange(every, most + 1, every)
    total = np.cumsum(given.d[:, :most], axis=1, dtype=np.int64)[:, n - 1]
    squares = np.cumsum(np.abs(given.d[:, :most]), axis=1, dtype=np.int64)[:, n - 1]
    mean = total / n
    deviation = np.sqrt(np.maximum(squares / n - mean**2, 0) / (n - 1))
    at = first(mean > NormalDist().inv_cdf(1 - alpha) * deviation)
    stopped = at > 0
    pairs = np.where(stopped, at * every, most)
    return Verdicts(~stopped, stopped, pairs, given.labels(pairs))


def betting(given: Streams, *, margin: float = 0.02, alpha: float = ALPHA, beta: float = ALPHA) -> Verdicts:
    """The gate of this book: stop on evidence of harm, ship on evidence of harmlessness, hold in between."""
    length = given.d.shape[1]
    worse = first(evidence(given.d) >= 1 / alpha)
    harmless = first(evidence(-given.d, -margin) >= 1 / beta)
    stopped = (worse > 0) & ((harmless == 0) | (worse <= harmless))
    shipped = (harmless > 0) & ~stopped
    pairs = np.where(stopped, worse, np.where(shipped, harmless, length))
    return Verdicts(shipped, stopped, pairs, given.labels(pairs))


def compare(
    gates: Mapping[str, Callable[[Streams], Verdicts]], drops: Sequence[float], *, n: int = 400, length: int = 4000,
    seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """One row for each gate and drop, all gates over the same streams: shares with 95 % intervals, median costs."""
    rows = []
    for number, drop in enumerate(drops):
        given = streams(drop, n, length, seed=seed + number)
        for name, gate in gates.items():
            found = gate(given)
            row = {"gate": name, "drop": drop}
            for what in ("shipped", "stopped"):
                count = int(getattr(found, what).sum())
                row[what] = count / n
                row[f"{what} low"], row[f"{what} high"] = wilson(count, n)
            for what in ("pairs", "labels"):
                cost = getattr(found, what)
                row[what], row[f"{what} p90"] = float(np.median(cost)), float(np.quantile(cost, 0.9))
            rows.append(row)
    return pd.DataFrame(rows)


def audit_seconds(pairs: float, tiles_per_s: float, audited: float) -> float:
    """Seconds of traffic until `pairs` tiles have been audited, of which a share `audited` is."""
    if not 0 < audited <= 1 or tiles_per_s <= 0:
        raise ValueError(f"an audit needs traffic and a share in (0, 1], not {tiles_per_s}/s and {audited}.")
    return pairs / (tiles_per_s * audited)
