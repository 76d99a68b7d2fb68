"""Machines that the provider may take back: what that saves, and what it costs in work done twice.

Interruptions come at random (a Poisson process) and strike a whole pool: a kind of machine in one zone. Providers state
the share of machines that are interrupted in a month, from which `a_month` makes the number of interruptions. A notice
precedes each. A job that is cut loses what was done since its last checkpoint. A machine that drains within its notice
loses nothing; one that cannot is killed. A new machine takes some minutes to come.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

#: Seconds between the notice and the end. AWS: docs.aws.amazon.com, "Spot Instance interruption notices" (two minutes,
#: best effort). Google Cloud and Azure: 30 s.
NOTICE_S: Mapping[str, float] = {"aws": 120.0, "gcp": 30.0, "azure": 30.0}
HOURS_PER_MONTH = 730.0


@dataclass(frozen=True)
class Outcome:
    """A run of some months. Shares of the time: `lost` work that was done twice, `down` capacity that was not there.

    all_down: share of the time in which no machine was there. cost: EUR for an hour of useful work of one machine.
    """

    interruptions: int
    lost: float
    down: float
    all_down: float
    cost: float


def a_month(share: float) -> float:
    """Interruptions of a pool in a month, from the share of machines that see at least one."""
    if not 0 <= share < 1:
        raise ValueError(f"the share interrupted in a month lies in 0..1, not {share}.")
    return -math.log1p(-share)


def simulate(
    *,
    eur_per_hour: float,
    interruptions_a_month: float,
    notice_s: float,
    drain_s: float,
    checkpoint_s: float,
    restart_s: float = 180.0,
    pools: int = 1,
    machines: int = 6,
    hours: float = 8760.0,
    seed: int = 0,
) -> Outcome:
    """Run `machines` machines, dealt out to `pools` pools, for `hours`.

    drain_s: what the service needs to finish and save what it has begun; within `notice_s` nothing is lost, else the
    work since the last checkpoint. checkpoint_s: between checkpoints, or the length of a job where there are none.
    restart_s: until the replacement works. Deterministic for a seed.
    """
    if min(eur_per_hour, checkpoint_s, hours) <= 0 or min(interruptions_a_month, notice_s, drain_s, restart_s) < 0:
        raise ValueError("prices, hours and checkpoint_s must be positive; times and rates must not be negative.")
    if not 1 <= pools <= machines:
        raise ValueError(f"pools lie between 1 and the {machines} machines, not {pools}.")
    random = np.random.default_rng(seed)
    share = [machines // pools + (pool < machines % pools) for pool in range(pools)]
    rate = interruptions_a_month / HOURS_PER_MONTH
    lost = down = 0.0
    count = 0
    absences: list[list[tuple[float, float]]] = []  # of each pool: (begin, end)
    for members in share:
        gaps: list[tuple[float, float]] = []
        since = 0.0  # when its machines began to work
        for moment in np.sort(random.uniform(0, hours, random.poisson(rate * hours))):
            if moment < since:
                continue  # it is away already
            if drain_s > notice_s:
                lost += members * ((moment - since) % (checkpoint_s / 3600))
            since = min(hours, moment + restart_s / 3600)
            gaps.append((moment, since))
            down += members * (since - moment)
            count += members
        absences.append(gaps)
    whole = machines * hours
    useful = whole - down - lost
    # Paid until it is taken, and again from the moment at which the replacement is ordered.
    cost = eur_per_hour * whole / useful if useful > 0 else math.inf
    return Outcome(count, lost / whole, down / whole, _overlap(absences, hours), cost)


def _overlap(absences: list[list[tuple[float, float]]], hours: float) -> float:
    """Share of the time in which all pools are away at once."""
    edges = sorted(edge for gaps in absences for begin, end in gaps for edge in ((begin, 1), (end, -1)))
    away, since, total = 0, 0.0, 0.0
    for moment, step in edges:
        if away == len(absences):
            total += moment - since
        away, since = away + step, moment
    return total / hours


def expected_loss(interruptions_a_month: float, checkpoint_s: float) -> float:
    """The share of the work that is done twice where draining does not help: rate times half a checkpoint."""
    return interruptions_a_month / HOURS_PER_MONTH * checkpoint_s / 2 / 3600


def best_checkpoint(interruptions_a_month: float, save_s: float) -> float:
    """Seconds between checkpoints that cost least, when saving takes `save_s` during which no work is done.

    Method: J. W. Young, "A first order approximation to the optimum checkpoint interval", CACM 17(9), 1974.
    """
    if save_s <= 0 or interruptions_a_month <= 0:
        raise ValueError("needs interruptions and a save_s above 0; without them there is nothing to weigh.")
    return math.sqrt(2 * save_s * 3600 * HOURS_PER_MONTH / interruptions_a_month)
