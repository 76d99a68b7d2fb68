"""What a deployment costs: a dated price list, and calculators fed with measured throughput and latency."""

from .placement import Network, Placement, cloud, edge, eur_per_million
from .prices import Price, PriceError, Prices, load_prices

__all__ = [
    "Network", "Placement", "Price", "PriceError", "Prices", "cloud", "edge", "eur_per_million", "load_prices",
]  # fmt: skip
