"""Carbon beside cost: energy of a million tiles times the grid's coefficient. Only where both have a source.

Machines: Cloud Carbon Footprint's average watts for each virtual CPU of AWS (its coefficients for others differ),
between idle and full load, its memory coefficient, and its data-centre overhead. What it took to build the machine is
not in it.
"""

from __future__ import annotations

from cvprod.costs.options import Option
from cvprod.costs.prices import Prices

VCPU, GB = 2, 4
#: Region -> the grid's coefficient in the price list. Others have none here, and get no figure.
GRIDS = {"plant": "carbon_germany", "eu-central-1": "carbon_germany"}


def watts(prices: Prices, option: Option, utilisation: float) -> float | None:
    """What one unit draws at that utilisation, in W, overhead included; None where there is no coefficient."""
    if option.kind == "edge":
        return prices.amount("edge_box_power", "W")
    if option.kind not in ("vm", "spot") or option.provider != "aws":
        return None
    idle, busy = (prices.amount(f"carbon_{state}_w", "W/vCPU") for state in ("idle", "busy"))
    draw = VCPU * (idle + utilisation * (busy - idle)) + GB * prices.amount("carbon_memory_w", "W/GB")
    return draw * prices.amount("carbon_overhead", "W/W")


def grams_per_million(prices: Prices, option: Option, utilisation: float) -> float | None:
    """g of CO2 equivalent for a million tiles; None where a coefficient has no source."""
    power, grid = watts(prices, option, utilisation), GRIDS.get(option.region)
    if power is None or grid is None:
        return None
    hours = 1e6 / (option.tiles_per_s * utilisation * 3600)
    return power / 1000 * hours * prices.amount(grid, "g/kWh")
