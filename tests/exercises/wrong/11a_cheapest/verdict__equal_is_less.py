"""Takes what costs as much."""

import math


def verdict(old, new, work):
    def hourly(o):
        return max(1, math.ceil(work["peak"] / (0.8 * o["tiles_per_s"]) - 1e-9)) * o["eur_per_hour"]

    if hourly(new) <= hourly(old):
        return "take"
    cheap = new["eur_per_hour"] / new["tiles_per_s"] <= old["eur_per_hour"] / old["tiles_per_s"]
    return "only if busier" if cheap else "never"
