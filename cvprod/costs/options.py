"""Where the service could run, and what a million tiles cost there: one formula, over utilisation.

An option has up to three prices: a year of something owned, an hour of something rented (busy or not), and a price for
each million tiles. Only the first two depend on how busy it is kept. Speeds are the reader's own (`Speed`); machines of
two virtual CPUs are taken to be as fast as the two cores that were measured, which chapter 11 turns into a question.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from cvprod.costs.placement import HOURS_PER_YEAR, Network, needed_mbit_per_s
from cvprod.costs.prices import Price, Prices
from cvprod.costs.serverless import Function, functions

EUROPE = ("eu-central-1", "eu-south-2", "europe-west3", "germanywestcentral")
#: Assumed ways from the plant to a region: ping your own.
NETWORKS = {"europe": Network(rtt_ms=20, uplink_mbit_per_s=100), "america": Network(rtt_ms=100, uplink_mbit_per_s=100)}
#: Share of its time that we plan to keep a machine busy; above it the queue decides on the latency (chapter 5).
BUSY = 0.8
#: Flexible machines are throttled where they are busier than this on average.
FLEX, FLEX_BASELINE = "flex", 0.4
#: Arm machines are rented by the same list, but nothing here was measured on one.
UNMEASURED = ("c7g", "D2ps", "Arm")


@dataclass(frozen=True)
class Speed:
    """What was measured on the reader's machine.

    tiles_per_s: the service on two cores, JPEG in, label out. p99_ms: of one tile at a moderate load. call_ms: number
    of tiles in a call of the function -> time that is billed for it, warm. cold_ms: from nothing to the first answer.
    machines: how many of it shared each row of the line when that p99 was measured. *_bytes: of one tile as JPEG, of
    its answer, of its line in the access log.
    """

    tiles_per_s: float
    p99_ms: float
    call_ms: Mapping[int, float]
    cold_ms: float
    machines: int = 1
    tile_bytes: float = 8000.0
    answer_bytes: float = 400.0
    log_bytes: float = 300.0

    def __post_init__(self) -> None:
        if min(self.tiles_per_s, self.p99_ms, self.cold_ms, *self.call_ms.values()) <= 0:
            raise ValueError("speeds and times must be positive: measure them first.")


@dataclass(frozen=True)
class Option:
    """One way to run it. EUR; `tiles_per_s` of one unit that is busy all the time; `used`: names of its prices."""

    name: str
    kind: str
    provider: str
    region: str
    tiles_per_s: float
    p99_ms: float
    used: tuple[str, ...]
    eur_per_year: float = 0.0
    eur_per_hour: float = 0.0
    eur_per_million: float = 0.0
    uplink_mbit_per_s: float = math.inf
    tiles_per_call: int = 1

    @property
    def baseline(self) -> float:
        """The share of the time for which a unit may be busy, on average."""
        return FLEX_BASELINE if FLEX in self.name else 1.0

    @property
    def europe(self) -> bool:
        """Whether pictures stay in the Union (at the plant, or in a region there)."""
        return self.kind == "edge" or self.region in EUROPE

    def per_million(self, utilisation: float) -> float:
        """EUR for a million tiles when a unit is busy for that share (0..1] of the time."""
        if not 0 < utilisation <= 1:
            raise ValueError(f"utilisation is a share above 0 and at most 1, not {utilisation}.")
        hour = self.eur_per_year / HOURS_PER_YEAR + self.eur_per_hour
        return hour / (self.tiles_per_s * 3600 * utilisation) * 1e6 + self.eur_per_million

    def break_even(self, other: Option) -> float | None:
        """The utilisation above which this option, a machine, is cheaper than `other`, which is paid by the tile.

        None where it never is.
        """
        left = other.eur_per_million - self.eur_per_million
        if left <= 0:
            return None
        share = (self.eur_per_year / HOURS_PER_YEAR + self.eur_per_hour) / (self.tiles_per_s * 3600) * 1e6 / left
        return share if share <= 1 else None


def offers(prices: Prices, speed: Speed, networks: Mapping[str, Network] = NETWORKS) -> list[Option]:
    """Everything in the price list that could run the service and whose speed is known."""
    found = [_edge(prices, speed)]
    for group in ("vm", "spot"):
        found += [
            _machine(prices, name, price, speed, networks)
            for name, price in prices.select(group=group).items()
            if not any(word in price.item for word in (*UNMEASURED, "GPU", "L4", "T4"))
        ]
    for where in ("us", "eu"):
        found.append(_fargate(prices, where, speed, networks))
    found += [_called(one, speed, networks) for one in functions(prices, speed.call_ms, speed.tiles_per_s)]
    return found


def _way(region: str, speed: Speed, networks: Mapping[str, Network], tiles: int = 1) -> dict[str, float]:
    network = networks["europe" if region in EUROPE else "america"]
    own = speed.p99_ms if tiles == 1 else max(speed.p99_ms, 2 * speed.call_ms[tiles])
    return {
        "p99_ms": own + network.added_ms(tiles * speed.tile_bytes),
        "uplink_mbit_per_s": network.uplink_mbit_per_s,
    }


def _edge(prices: Prices, speed: Speed) -> Option:
    used = ("edge_box", "edge_box_life", "edge_box_power", "edge_box_upkeep", "electricity")
    year = prices.amount("edge_box", "EUR") / prices.amount("edge_box_life", "years")
    power = prices.amount("edge_box_power", "W") / 1000 * prices.amount("electricity", "EUR/kWh")
    return Option(
        "box at the line", "edge", "plant", "plant", speed.tiles_per_s, speed.p99_ms, used,
        eur_per_year=year + prices.amount("edge_box_upkeep", "EUR/year"), eur_per_hour=power,
    )  # fmt: skip


def _machine(prices: Prices, name: str, price: Price, speed: Speed, networks: Mapping[str, Network]) -> Option:
    label = price.item.split(",")[0] + (", spot" if price.group == "spot" else "")
    return Option(
        label, price.group, price.provider, price.region, speed.tiles_per_s, used=(name,),
        eur_per_hour=prices.amount(name, "EUR/h"), **_way(price.region, speed, networks),
    )  # fmt: skip


def _fargate(prices: Prices, where: str, speed: Speed, networks: Mapping[str, Network]) -> Option:
    used = (f"aws_fargate_vcpu_{where}", f"aws_fargate_gb_{where}")
    hour = 2 * prices.amount(used[0], "EUR/vCPU-h") + 4 * prices.amount(used[1], "EUR/GB-h")
    region = prices[used[0]].region
    return Option(
        "Fargate, 2 vCPU", "container", "aws", region, speed.tiles_per_s, used=used, eur_per_hour=hour,
        **_way(region, speed, networks),
    )  # fmt: skip


def _called(one: Function, speed: Speed, networks: Mapping[str, Network]) -> Option:
    return Option(
        one.name, "function", one.provider, one.region, 1e3 * one.tiles / speed.call_ms[one.tiles], used=one.used,
        eur_per_million=one.eur_per_million, tiles_per_call=one.tiles, **_way(one.region, speed, networks, one.tiles),
    )  # fmt: skip


# --- which one ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Workload:
    """What is asked of the service: at most `tiles_per_s`, on average the share `busy` of that during `hours` a year.

    p99_ms: the latest answer that is of use. together: tiles that come at once. machines: fewest that share them, so
    that none waits too long for those before it. interruptible: whether work may be lost
    and done again. europe: whether pictures must stay in the Union. eur_per_million: what a million tiles may cost.
    """

    name: str
    tiles_per_s: float
    busy: float
    hours_per_year: float
    p99_ms: float
    eur_per_million: float = math.inf
    together: int = 1
    interruptible: bool = False
    europe: bool = True
    machines: int = 1

    def __post_init__(self) -> None:
        if not (self.tiles_per_s > 0 and 0 < self.busy <= 1 and 0 < self.hours_per_year <= HOURS_PER_YEAR):
            raise ValueError(f"{self.name}: needs tiles_per_s > 0, busy in (0, 1] and hours in (0, {HOURS_PER_YEAR}].")

    @property
    def million_tiles(self) -> float:
        """Millions of tiles a year."""
        return self.tiles_per_s * self.busy * 3600 * self.hours_per_year / 1e6


@dataclass(frozen=True)
class Plan:
    """An option sized for a workload. `broken` says in words what it does not keep; empty if it keeps everything."""

    option: Option
    units: int
    eur_per_year: float
    eur_per_million: float
    broken: tuple[str, ...]


def plan(option: Option, work: Workload, tile_bytes: float = 0.0) -> Plan:
    """Size an option: units for the peak at `BUSY` and for the row, rented for hours of work, owned for the year."""
    by_call = option.kind == "function"
    least = 1 if by_call else work.machines
    units = max(least, math.ceil(work.tiles_per_s / ((1 if by_call else BUSY) * option.tiles_per_s) - 1e-9))
    fixed = 0.0 if by_call else units * (option.eur_per_year + option.eur_per_hour * work.hours_per_year)
    year = fixed + option.eur_per_million * work.million_tiles
    cost = year / work.million_tiles
    broken = []
    if option.p99_ms > work.p99_ms:
        broken.append("too late")
    if cost > work.eur_per_million:
        broken.append("too dear")
    if option.tiles_per_call > work.together:
        broken.append("tiles come one by one")
    if work.tiles_per_s * work.busy / (units * option.tiles_per_s) > option.baseline:
        broken.append("throttled under this load")
    if option.kind == "spot" and not work.interruptible:
        broken.append("may be taken away")
    if work.europe and not option.europe:
        broken.append("pictures leave Europe")
    if needed_mbit_per_s(work.tiles_per_s, tile_bytes) > option.uplink_mbit_per_s:
        broken.append("link too narrow")
    return Plan(option, units, year, cost, tuple(broken))


def recommend(plans: Iterable[Plan]) -> Plan | None:
    """The cheapest plan that keeps everything; None where none does."""
    kept = [one for one in plans if not one.broken]
    return min(kept, key=lambda one: one.eur_per_year) if kept else None


def price_date(prices: Prices, option: Option) -> str:
    """The oldest day of an option's prices, as ISO date; "undated" where one of its sources has none."""
    days = [prices[name].as_of for name in option.used if prices[name].kind == "published"]
    return "undated" if "undated" in days else str(min(days))


def faster(option: Option, times: float) -> Option:
    """The same on a machine that does `times` as many tiles: for "what if"."""
    return replace(option, tiles_per_s=option.tiles_per_s * times)


# --- other machines ----------------------------------------------------------------------------------------


def needed_speed(prices: Prices, name: str, than: Sequence[str]) -> float:
    """How many times the tiles of the cheapest machine in `than` the machine `name` must do to cost the same a tile."""
    best = min(prices.amount(other, "EUR/h") for other in than)
    return prices.amount(name, "EUR/h") / best


def idle_cost(prices: Prices, name: str, busy: float, hours: float = HOURS_PER_YEAR) -> float:
    """EUR that a machine costs in `hours` while it does nothing, when it works for the share `busy` of them."""
    if not 0 <= busy <= 1:
        raise ValueError(f"busy is a share, 0..1, not {busy}.")
    return prices.amount(name, "EUR/h") * hours * (1 - busy)
