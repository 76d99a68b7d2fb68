"""Divides by what the machines could do, as price lists do."""

import math


def cost(option, work):
    if option["kind"] == "function":
        return 1, option["eur_per_million"]
    units = max(1, math.ceil(work["peak"] / (0.8 * option["tiles_per_s"]) - 1e-9))
    return units, option["eur_per_hour"] / (option["tiles_per_s"] * 3600) * 1e6
