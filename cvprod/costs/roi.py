"""Does the whole thing pay: net present value, a tornado of its assumptions, and the spread of what they allow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np

from cvprod.costs.prices import Prices


@dataclass(frozen=True)
class Case:
    """The business case. EUR and years; recalls are shares of the defects that reach the customer otherwise.

    A claim is what one defective coil costs at a customer; with manual inspection there are `claims` a year, which are
    the share 1 - manual_recall of all; the camera leaves the share 1 - recall of them.
    """

    recall: float
    computing: float
    claim: float
    claims: float
    manual_recall: float
    project: float
    upkeep: float
    recheck_hours: float
    labour: float
    discount_rate: float
    horizon: float

    def __post_init__(self) -> None:
        for name in ("recall", "manual_recall"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share, 0..1, not {getattr(self, name)}.")
        if self.manual_recall == 1:
            raise ValueError("manual_recall is 1: who finds every defect has no claims, and needs no camera.")


def case(prices: Prices, *, recall: float, computing: float) -> Case:
    """The plant's case: its assumptions from the price list, `recall` measured, `computing` [EUR/year] calculated."""
    units = {"claim": "EUR", "claims": "1/year", "manual_recall": "share", "project": "EUR", "upkeep": "EUR/year",
             "recheck_hours": "h/year", "labour": "EUR/h", "discount_rate": "share", "horizon": "years"}  # fmt: skip
    return Case(recall=recall, computing=computing, **{name: prices.amount(name, unit) for name, unit in units.items()})


def yearly(one: Case) -> float:
    """What a year brings, in EUR: claims avoided, less what the camera costs to run."""
    defects = one.claims / (1 - one.manual_recall)
    avoided = (one.claims - defects * (1 - one.recall)) * one.claim
    return avoided - one.computing - one.upkeep - one.recheck_hours * one.labour


def npv(one: Case) -> float:
    """Net present value in EUR: the project at once, each year's gain at its end, discounted."""
    years = np.arange(1, int(one.horizon) + 1)
    return float(-one.project + (yearly(one) / (1 + one.discount_rate) ** years).sum())


def payback(one: Case) -> float:
    """Years until the project is paid back, not discounted; infinite where a year brings nothing."""
    gain = yearly(one)
    return one.project / gain if gain > 0 else float("inf")


def roi(one: Case) -> float:
    """Return on investment over the horizon: net present value for each euro of the project."""
    return npv(one) / one.project


def tornado(one: Case, ranges: Mapping[str, tuple[float, float]]) -> list[tuple[str, float, float]]:
    """(assumption, NPV at its low end, at its high end), each alone, the widest first."""
    _check(one, ranges)
    bars = [(name, npv(replace(one, **{name: low})), npv(replace(one, **{name: high}))) for name, (low, high) in
            ranges.items()]  # fmt: skip
    return sorted(bars, key=lambda bar: -abs(bar[2] - bar[1]))


def distribution(one: Case, ranges: Mapping[str, tuple[float, float]], n: int = 4000, seed: int = 0) -> np.ndarray:
    """NPV of `n` draws in which every assumption is drawn from a triangle over its range, peak at the case's value.

    Returns float64 (n,), in EUR. The assumptions are drawn independently of each other, which makes the spread a little
    too narrow where bad news comes together.
    """
    _check(one, ranges)
    random = np.random.default_rng(seed)
    drawn = {
        name: np.full(n, low) if low == high else random.triangular(low, getattr(one, name), high, n)
        for name, (low, high) in ranges.items()
    }
    return np.array([npv(replace(one, **{name: float(v[i]) for name, v in drawn.items()})) for i in range(n)])


def _check(one: Case, ranges: Mapping[str, tuple[float, float]]) -> None:
    known = {field.name for field in fields(Case)}
    for name, (low, high) in ranges.items():
        if name not in known:
            raise ValueError(f"no assumption {name!r}; the case has {', '.join(sorted(known))}.")
        if not low <= getattr(one, name) <= high:
            raise ValueError(f"{name}: {getattr(one, name):g} does not lie in its range, {low:g} to {high:g}.")
