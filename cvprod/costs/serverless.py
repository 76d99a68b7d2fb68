"""Functions: what a call costs, what a cold start costs, and which part of the price is the fee for the call itself.

Billing rules: Lambda rounds a call up to the next millisecond and has billed the INIT phase of every function since
2025-08-01; the price is for memory, and 1,769 MB come with one virtual CPU. Azure's Consumption plan bills at least
100 ms a call. Cloud Run bills the time in which an instance answers: a full instance is the best case, and is assumed.
Free tiers are left out: they are for trying, and one line of the mill is through them in an hour.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from cvprod.costs.prices import Prices

LAMBDA_GB = 1769 / 1024  # the size that comes with one virtual CPU
AZURE_GB, AZURE_LEAST_MS = 0.5, 100.0
RUN_VCPU, RUN_GIB = 2, 1


@dataclass(frozen=True)
class Function:
    """One way to be billed by the call. EUR for a million tiles: all of it, and the part that is the fee for calls."""

    name: str
    provider: str
    region: str
    tiles: int
    eur_per_million: float
    fee_per_million: float
    used: tuple[str, ...]

    @property
    def fee_share(self) -> float:
        """Which share of the price is the fee."""
        return self.fee_per_million / self.eur_per_million


def lambda_call(prices: Prices, where: str, ms: float, *, tiles: int = 1, gb: float = LAMBDA_GB) -> Function:
    """AWS Lambda in region "us" or "eu": `ms` are measured for a call with `tiles` tiles, warm."""
    if ms <= 0 or tiles < 1:
        raise ValueError(f"a call takes more than 0 ms and carries at least one tile, not {ms} and {tiles}.")
    used = (f"aws_lambda_gb_s_{where}", f"aws_lambda_call_{where}")
    duration = math.ceil(ms - 1e-9) / 1e3 * gb * prices.amount(used[0], "EUR/GB-s")
    fee = prices.amount(used[1], "EUR/call")
    region = prices[used[0]].region
    return _function("Lambda", "aws", region, tiles, duration, fee, used)


def azure_call(prices: Prices, ms: float, *, tiles: int = 1) -> Function:
    """Azure Functions, Consumption plan."""
    used = ("azure_function_gb_s", "azure_function_call")
    duration = max(AZURE_LEAST_MS, math.ceil(ms - 1e-9)) / 1e3 * AZURE_GB * prices.amount(used[0], "EUR/GB-s")
    return _function("Functions", "azure", "", tiles, duration, prices.amount(used[1], "EUR/call"), used)


def run_call(prices: Prices, where: str, tiles_per_s: float, *, tiles: int = 1) -> Function:
    """Cloud Run (and functions, which run on it), an instance of two virtual CPUs that answers `tiles_per_s`."""
    used = (f"gcp_run_vcpu_{where}", f"gcp_run_gib_{where}", "gcp_function_call")
    second = RUN_VCPU * prices.amount(used[0], "EUR/vCPU-s") + RUN_GIB * prices.amount(used[1], "EUR/GiB-s")
    fee, region = prices.amount(used[2], "EUR/call"), prices[used[0]].region
    return _function("Cloud Run", "gcp", region, tiles, tiles * second / tiles_per_s, fee, used)


def _function(name: str, provider: str, region: str, tiles: int, duration: float, fee: float, used: tuple) -> Function:
    label = name if tiles == 1 else f"{name}, {tiles} tiles a call"
    return Function(label, provider, region, tiles, (duration + fee) / tiles * 1e6, fee / tiles * 1e6, used)


def functions(prices: Prices, call_ms: Mapping[int, float], tiles_per_s: float) -> list[Function]:
    """Every function of the price list, for each number of tiles in a call that was measured."""
    found = []
    for tiles, ms in call_ms.items():
        found += [lambda_call(prices, where, ms, tiles=tiles) for where in ("us", "eu")]
        found += [run_call(prices, where, tiles_per_s, tiles=tiles) for where in ("us", "eu")]
        found.append(azure_call(prices, ms, tiles=tiles))
    return found


def cold_start_in_tiles(prices: Prices, where: str, cold_ms: float, call_ms: float) -> float:
    """How many tiles, sent one by one, cost as much as one billed cold start of Lambda."""
    start = math.ceil(cold_ms) / 1e3 * LAMBDA_GB * prices.amount(f"aws_lambda_gb_s_{where}", "EUR/GB-s")
    return start / (lambda_call(prices, where, call_ms).eur_per_million / 1e6)
