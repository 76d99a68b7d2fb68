"""Counts functions as machines; at a high peak it asks for more than one."""

import math


def cost(option, work):
    units = max(1, math.ceil(work["peak"] / (0.8 * option["tiles_per_s"]) - 1e-9))
    if option["kind"] == "function":
        units = max(1, math.ceil(work["peak"] / 1000))
        return units, option["eur_per_million"]
    return units, units * option["eur_per_hour"] / (work["mean"] * 3600) * 1e6
