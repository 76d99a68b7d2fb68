"""A/B tests of models: how many tiles beforehand, who is compared with whom, and what a tile is not.

Tiles of one coil share steel, light and dirt. A coil is therefore the unit that is assigned to a version and counted;
a test that counts tiles finds differences where there are none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

ARMS = ("A", "B")


def arm(unit: str, experiment: str, share: float = 0.5) -> str:
    """Which version a unit (a coil, not a tile) meets: "B" for a share of all units, the same on every machine.

    The experiment's name is part of the hash, so that two experiments do not split the coils alike.
    """
    if not 0 < share < 1:
        raise ValueError(f"a share lies between 0 and 1, not {share}.")
    digest = hashlib.sha256(f"{experiment}/{unit}".encode()).digest()
    return ARMS[int.from_bytes(digest[:8]) / 2**64 < share]


def tiles_needed(rate: float, change: float, *, alpha: float = 0.05, power: float = 0.8, effect: float = 1.0) -> int:
    """Tiles in each arm that show a rate falling by `change`, one-sided, with this power.

    effect: the design effect, how many tiles of one coil tell as much as one independent tile (`design_effect`).
    Raises ValueError where the rates are none.
    """
    worse = rate - change
    if not 0 < worse < rate < 1 or not 0 < alpha < 1 or not 0 < power < 1 or effect < 1:
        raise ValueError(f"no such test: rate {rate}, change {change}, alpha {alpha}, power {power}, effect {effect}.")
    z = NormalDist().inv_cdf(1 - alpha) + NormalDist().inv_cdf(power)
    return int(np.ceil(effect * z**2 * (rate * (1 - rate) + worse * (1 - worse)) / change**2))


def pairs_needed(change: float, discordant: float, *, alpha: float = 0.05, power: float = 0.8) -> int:
    """Pairs that show the same, if both versions see the same tiles and differ on a share `discordant` of them."""
    if not 0 < change <= discordant <= 1:
        raise ValueError(f"versions that differ by {change} disagree at least as often, not {discordant}.")
    z = NormalDist().inv_cdf(1 - alpha) + NormalDist().inv_cdf(power)
    return int(np.ceil(z**2 * (discordant - change**2) / change**2))


def design_effect(tiles_a_coil: float, correlation: float) -> float:
    """1 + (m - 1) rho, for coils of m tiles whose errors correlate by rho (Kish, "Survey Sampling", 1965)."""
    return 1 + (tiles_a_coil - 1) * correlation


def coils(n: int, tiles: int, *, error: float = 0.05, correlation: float = 0.05, seed: int = 0) -> np.ndarray:
    """Errors of one version on n coils, int (n,) of `tiles` each: beta-binomial, so that coils differ."""
    random = np.random.default_rng(seed)
    spread = 1 / correlation - 1
    return random.binomial(tiles, random.beta(error * spread, (1 - error) * spread, n))


def difference(errors: Sequence[np.ndarray], tiles: int, *, by: str) -> tuple[float, float]:
    """Mean error of B minus that of A, and its standard error, counting "tiles" or "coils" as independent.

    errors: two arrays, the wrong tiles of each coil.
    """
    if by not in ("tiles", "coils"):
        raise ValueError(f"count by tiles or by coils, not {by!r}.")
    rates = [np.asarray(e) / tiles for e in errors]
    means = [float(r.mean()) for r in rates]
    if by == "coils":
        variance = sum(float(r.var(ddof=1)) / len(r) for r in rates)
    else:
        variance = sum(m * (1 - m) / (len(r) * tiles) for m, r in zip(means, rates, strict=True))
    return means[1] - means[0], float(np.sqrt(variance))


def stratified(
    right: Sequence[np.ndarray], stratum: Sequence[np.ndarray], shares: dict[object, float]
) -> tuple[float, float]:
    """Accuracy of B minus that of A with each stratum (defect class, steel grade) at its known share of the traffic.

    right, stratum: two arrays each. Returns the difference and its standard error. Strata of different difficulty no
    longer blur the comparison, nor does an arm that happened to get more of the hard ones. Raises ValueError where a
    stratum has fewer than two tiles in an arm: it cannot be compared there.
    """
    total, variance = 0.0, 0.0
    for name, share in shares.items():
        sign = -1
        for r, s in zip(right, stratum, strict=True):
            chosen = np.asarray(r, float)[np.asarray(s) == name]
            if len(chosen) < 2:
                raise ValueError(f"stratum {name!r} has {len(chosen)} tiles in one arm; two are the least.")
            total += sign * share * chosen.mean()
            variance += share**2 * chosen.var(ddof=1) / len(chosen)
            sign = 1
    return total, float(np.sqrt(variance))
