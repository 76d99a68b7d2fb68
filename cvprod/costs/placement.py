"""Edge or cloud: latency, bandwidth and cost of putting the same measured model in either place."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cvprod.costs.prices import Prices

HOURS_PER_YEAR = 8760
CLOUD_VM = "aws_c7i_large_eu"  # two virtual CPUs, in the region nearest to the plant
#: The entries of the price list that this module computes with.
USED = ("usd_in_eur", "electricity", CLOUD_VM, "edge_box", "edge_box_life", "edge_box_power", "edge_box_upkeep")
KM_PER_MS_IN_FIBRE = 200.0  # light in glass covers about two thirds of 300 km in a millisecond


def eur_per_million(eur_per_hour: float, tiles_per_s: float) -> float:
    """Cost in EUR of a million tiles when something that costs `eur_per_hour` handles `tiles_per_s`."""
    if tiles_per_s <= 0 or eur_per_hour < 0:
        raise ValueError(f"needs tiles_per_s > 0 and eur_per_hour >= 0, not {tiles_per_s} and {eur_per_hour}.")
    return eur_per_hour / (tiles_per_s * 3600) * 1e6


@dataclass(frozen=True)
class Network:
    """The way from the camera to the model: round-trip time and upload rate."""

    rtt_ms: float
    uplink_mbit_per_s: float

    def __post_init__(self) -> None:
        if self.rtt_ms < 0 or self.uplink_mbit_per_s <= 0:
            raise ValueError("a network has rtt_ms >= 0 and uplink_mbit_per_s > 0.")

    def added_ms(self, tile_bytes: float) -> float:
        """What the way adds to one tile: its bytes pushed through the uplink, and one round trip."""
        return tile_bytes * 8 / (self.uplink_mbit_per_s * 1e3) + self.rtt_ms

    def carries(self, tiles_per_s: float, tile_bytes: float) -> bool:
        """Whether the uplink holds the stream at all."""
        return needed_mbit_per_s(tiles_per_s, tile_bytes) <= self.uplink_mbit_per_s


def needed_mbit_per_s(tiles_per_s: float, tile_bytes: float) -> float:
    """Upload rate of a stream of tiles, in Mbit/s (without protocol overhead)."""
    return tiles_per_s * tile_bytes * 8 / 1e6


def fibre_rtt_ms(km: float) -> float:
    """The round trip that physics allows over `km` of fibre; real routes and routers add to it."""
    return 2 * km / KM_PER_MS_IN_FIBRE


def simulate_rows(
    service_s: Sequence[float] | np.ndarray,
    *,
    rows_per_s: float,
    tiles_across: int,
    boxes: int,
    workers: int = 1,
    rows: int = 1000,
    seed: int = 0,
) -> np.ndarray:
    """Seconds from a row's arrival to the answer for each of its tiles, float64 (rows * tiles_across,).

    A row of tiles arrives all at once; they are dealt out in turn to `boxes`, each with `workers` that take the tile
    that has waited longest. A tile takes a time drawn from `service_s` [s], which was measured while all workers of a
    box were busy: what they cost each other is in it. All are infinite where the boxes have more to do than they can:
    such a queue never ends, and its length says only how long the simulation was.
    """
    service = np.asarray(service_s, dtype=np.float64)
    if min(rows_per_s, tiles_across, boxes, workers, rows) <= 0:
        raise ValueError("rows_per_s, tiles_across, boxes, workers and rows must be above 0.")
    if service.ndim != 1 or not service.size or not (service > 0).all() or not np.isfinite(service).all():
        raise ValueError("service_s needs measured times above 0, with at least one.")
    n = rows * tiles_across
    if rows_per_s * tiles_across * service.mean() >= boxes * workers:
        return np.full(n, math.inf)
    drawn = np.random.default_rng(seed).choice(service, n)
    arrivals = np.repeat(np.arange(rows) / rows_per_s, tiles_across)
    free = [[0.0] * workers for _ in range(boxes)]  # of each box a heap: when its workers are free again
    done = np.empty(n)
    for tile, (arrival, takes) in enumerate(zip(arrivals.tolist(), drawn.tolist(), strict=True)):
        box = free[tile % boxes]
        done[tile] = max(arrival, box[0]) + takes
        heapq.heapreplace(box, done[tile])
    return done - arrivals


@dataclass(frozen=True)
class Placement:
    """One place to run the model for one line. EUR, ms, tiles/s; `machines` is a whole number."""

    name: str
    machines: int
    p99_ms: float
    tiles_per_s: float
    eur_per_year: float
    eur_per_million: float
    uplink_mbit_per_s: float


def _machines(needed_tiles_per_s: float, tiles_per_s: float) -> int:
    if needed_tiles_per_s <= 0 or tiles_per_s <= 0:
        raise ValueError("tile rates must be positive.")
    return math.ceil(needed_tiles_per_s / tiles_per_s - 1e-9)


def _tiles_per_year(needed_tiles_per_s: float, hours: float) -> float:
    if not 0 < hours <= HOURS_PER_YEAR:
        raise ValueError(f"hours per year lie between 0 and {HOURS_PER_YEAR}, not {hours}.")
    return needed_tiles_per_s * 3600 * hours


def edge(
    prices: Prices,
    *,
    p99_ms: float,
    tiles_per_s: float,
    needed_tiles_per_s: float,
    hours_per_year: float,
    machines: int | None = None,
) -> Placement:
    """Boxes at the line: bought, written off, powered while the line runs.

    `p99_ms` and `tiles_per_s` are measured for one box; `needed_tiles_per_s` is what the line makes. machines: so many
    boxes, and not as few as the rate needs.
    """
    n = machines or _machines(needed_tiles_per_s, tiles_per_s)
    tiles = _tiles_per_year(needed_tiles_per_s, hours_per_year)
    energy_kwh = prices.amount("edge_box_power", "W") / 1000 * hours_per_year
    a_box = (
        prices.amount("edge_box", "EUR") / prices.amount("edge_box_life", "years")
        + energy_kwh * prices.amount("electricity", "EUR/kWh")
        + prices.amount("edge_box_upkeep", "EUR/year")
    )
    return Placement("edge", n, p99_ms, n * tiles_per_s, n * a_box, n * a_box / tiles * 1e6, 0.0)


def cloud(
    prices: Prices,
    network: Network,
    *,
    p99_ms: float,
    tiles_per_s: float,
    needed_tiles_per_s: float,
    tile_bytes: float,
    hours_per_year: float,
    machines: int | None = None,
) -> Placement:
    """Machines of two virtual CPUs rented by the hour while the line runs; uploading into the cloud is free there.

    The network's delay is added to the measured `p99_ms`; its jitter is not, so the result is a lower bound. It is
    infinite where the uplink does not carry the stream: the queue before it never ends. `tiles_per_s` is one machine's:
    of the usual kind, whose two virtual CPUs are two threads of one core, so a figure from two whole cores makes the
    price a lower bound as well. machines: as for `edge`.
    """
    n = machines or _machines(needed_tiles_per_s, tiles_per_s)
    tiles = _tiles_per_year(needed_tiles_per_s, hours_per_year)
    a_year = n * prices.amount(CLOUD_VM, "EUR/h") * hours_per_year
    way_ms = network.added_ms(tile_bytes) if network.carries(needed_tiles_per_s, tile_bytes) else math.inf
    return Placement(
        "cloud",
        n,
        p99_ms + way_ms,
        n * tiles_per_s,
        a_year,
        a_year / tiles * 1e6,
        needed_mbit_per_s(needed_tiles_per_s, tile_bytes),
    )
