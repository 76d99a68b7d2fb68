"""A month's bill, line by line: each a quantity times a price of the list, so that every total can be checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cvprod.costs.prices import Prices

HOURS_PER_MONTH = 730.0
#: Which prices a provider's bill is made of. The machine is the region's in Europe; what is listed for one region only
#: (storage, egress, balancer, logs) is taken from there, which the price list says.
PROVIDERS: Mapping[str, Mapping[str, str]] = {
    "aws": {
        "machines": "aws_c7i_large_eu", "balancer": "aws_balancer", "balancer units": "aws_balancer_unit",
        "egress": "aws_egress", "logs": "aws_logs", "pictures kept": "aws_storage_standard",
    },
    "gcp": {
        "machines": "gcp_c4_standard_2_eu", "egress": "gcp_egress", "logs": "gcp_logs",
        "pictures kept": "gcp_storage_standard",
    },
    "azure": {
        "machines": "azure_d2a_v4_eu", "egress": "azure_egress", "logs": "azure_logs",
        "pictures kept": "azure_storage_standard",
    },
}  # fmt: skip


@dataclass(frozen=True)
class Line:
    """One line: `quantity` of what `price` (a name in the list) is the price for. `eur` is rounded to the cent."""

    what: str
    price: str
    quantity: float
    unit: str
    eur: float


@dataclass(frozen=True)
class Traffic:
    """What a month brings. Tiles a second at the peak and on average; bytes a tile up, down, and in the log.

    hours: of work a month. machines: of two virtual CPUs, rented for all hours or only those of work. kept: share of
    the tiles that are stored, for `kept_months`. logged: share of the requests that leave a line in the log.
    """

    tiles_per_s: float
    hours: float
    machines: int
    tile_bytes: float
    answer_bytes: float
    log_bytes: float
    always_on: bool = True
    kept: float = 0.01
    kept_months: float = 3.0
    logged: float = 1.0
    connections_per_s: float = 1.0

    def __post_init__(self) -> None:
        if self.tiles_per_s <= 0 or not 0 < self.hours <= HOURS_PER_MONTH or self.machines < 1:
            raise ValueError(f"a bill needs tiles_per_s > 0, hours in (0, {HOURS_PER_MONTH:g}] and a machine.")
        if not (0 <= self.kept <= 1 and 0 <= self.logged <= 1):
            raise ValueError("kept and logged are shares, 0..1.")

    @property
    def tiles(self) -> float:
        """Tiles a month."""
        return self.tiles_per_s * 3600 * self.hours


def monthly(prices: Prices, provider: str, traffic: Traffic) -> list[Line]:
    """The bill of one provider. Raises ValueError for another provider than those of `PROVIDERS`."""
    if provider not in PROVIDERS:
        raise ValueError(f"no bill for {provider!r}; there are {', '.join(PROVIDERS)}.")
    names = PROVIDERS[provider]
    gigabytes = traffic.tiles / 1e9
    quantities = {
        "machines": traffic.machines * (HOURS_PER_MONTH if traffic.always_on else traffic.hours),
        "balancer": HOURS_PER_MONTH,
        "balancer units": balancer_units(traffic) * traffic.hours,
        "egress": gigabytes * traffic.answer_bytes,
        "logs": gigabytes * traffic.log_bytes * traffic.logged,
        "pictures kept": gigabytes * traffic.tile_bytes * traffic.kept * traffic.kept_months,
    }
    return [line(prices, what, name, quantities[what]) for what, name in names.items()]


def line(prices: Prices, what: str, name: str, quantity: float) -> Line:
    """One line of a bill, from the price's own unit (USD/h, EUR/month...)."""
    unit = prices[name].unit
    currency, _, per = unit.partition("/")
    if currency not in ("USD", "EUR"):
        raise ValueError(f"{name} is in {unit}: no price.")
    return Line(what, name, quantity, per, round(quantity * prices.amount(name, f"EUR/{per}"), 2))


def total(lines: Sequence[Line]) -> float:
    """The sum of the lines, in EUR and whole cents: what stands under the bill is what stands on it."""
    return round(math.fsum(one.eur for one in lines), 2)


def balancer_units(traffic: Traffic) -> float:
    """Capacity units of an application balancer: the highest of its measures counts (1 GB/h, 25 connections/s)."""
    gb_per_hour = traffic.tiles_per_s * 3600 * (traffic.tile_bytes + traffic.answer_bytes) / 1e9
    return max(gb_per_hour, traffic.connections_per_s / 25)


# --- what is stored ----------------------------------------------------------------------------------------


def storage(prices: Prices, provider: str, gb_a_month: float, stages: Mapping[str, float]) -> float:
    """EUR a month for pictures that come in steadily and move through cheaper classes, once the flow is steady.

    stages: class ("standard", "infrequent", "archive") -> months spent in it; what is after the last is deleted.
    Retrieval and the minimum times of the cheap classes (30 to 180 days) are not in it: check them for your stages.
    """
    if gb_a_month < 0 or any(months < 0 for months in stages.values()):
        raise ValueError("gigabytes and months cannot be negative.")
    return sum(
        gb_a_month * months * prices.amount(f"{provider}_storage_{name}", "EUR/GB-month")
        for name, months in stages.items()
    )
