"""A rounding error costs a machine."""

import math


def cost(option, work):
    if option["kind"] == "function":
        return 1, option["eur_per_million"]
    units = max(1, math.ceil(work["peak"] / option["tiles_per_s"] / 0.8))
    return units + (0.8 * option["tiles_per_s"] * units == work["peak"]), units * option["eur_per_hour"] / (
        work["mean"] * 3600
    ) * 1e6
