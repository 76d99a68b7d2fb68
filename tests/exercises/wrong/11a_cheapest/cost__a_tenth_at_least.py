"""Counts on a tenth of a tile a second at least."""


def cost(option, work):
    million = max(work["mean"], 0.1) * 3600 * work["hours"] / 1e6
    if option["kind"] == "function":
        return 1, option["eur_per_million"]
    units = max(1, math.ceil(work["peak"] / (0.8 * option["tiles_per_s"]) - 1e-9))
    return units, units * option["eur_per_hour"] * work["hours"] / million
