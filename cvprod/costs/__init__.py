"""What a deployment costs: a dated price list, and calculators fed with measured throughput and latency."""

from .options import Option, Plan, Speed, Workload, offers, plan, recommend
from .placement import (
    Network,
    Placement,
    cloud,
    edge,
    eur_per_million,
    fibre_rtt_ms,
    needed_mbit_per_s,
    simulate_rows,
)
from .prices import Price, PriceError, Prices, load_prices

__all__ = [
    "Network", "Option", "Placement", "Plan", "Price", "PriceError", "Prices", "Speed", "Workload", "cloud", "edge",
    "eur_per_million", "fibre_rtt_ms", "load_prices", "needed_mbit_per_s", "offers", "plan", "recommend",
    "simulate_rows",
]  # fmt: skip
