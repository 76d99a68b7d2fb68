"""Writes into its arguments."""

import math


def cost(option, work):
    if option["kind"] == "function":
        return 1, option["eur_per_million"]
    work["peak"] = work["peak"] / 0.8
    u = max(1, math.ceil(work["peak"] / option["tiles_per_s"] - 1e-9))
    work["peak"] = work["peak"] * 0.8
    option["units"] = u
    return u, u * option["eur_per_hour"] / (work["mean"] * 3600) * 1e6
