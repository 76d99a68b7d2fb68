"""Divides by the tiles of the peak, which come seldom."""

import math


def cost(option, work):
    if option["kind"] == "function":
        return 1, option["eur_per_million"]
    units = max(1, math.ceil(work["peak"] / (0.8 * option["tiles_per_s"]) - 1e-9))
    return units, units * option["eur_per_hour"] / (work["peak"] * 3600) * 1e6
