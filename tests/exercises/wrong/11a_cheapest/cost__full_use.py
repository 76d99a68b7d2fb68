"""Sizes for 100 %: nobody runs a machine so full."""

import math


def cost(option, work):
    if option["kind"] == "function":
        return 1, option["eur_per_million"]
    units = max(1, math.ceil(work["peak"] / option["tiles_per_s"] - 1e-9))
    return units, units * option["eur_per_hour"] / (work["mean"] * 3600) * 1e6
