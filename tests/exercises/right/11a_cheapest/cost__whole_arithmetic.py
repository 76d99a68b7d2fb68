import math
from fractions import Fraction


def cost(option, work):
    if option["kind"] == "function":
        return 1, option["eur_per_million"]
    load, one = Fraction(work["peak"]), Fraction(option["tiles_per_s"]) * 4 / 5
    units = 1
    while units * one < load:
        units = max(units + 1, math.floor(load / one))
    tiles = work["mean"] * 3600 * work["hours"]
    return units, 1e6 * units * option["eur_per_hour"] * work["hours"] / tiles
