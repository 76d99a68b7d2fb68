import math


def verdict(old, new, work):
    units = [max(1, math.ceil(round(work["peak"] / (0.8 * o["tiles_per_s"]), 9))) for o in (old, new)]
    if units[1] * new["eur_per_hour"] < units[0] * old["eur_per_hour"]:
        return "take"
    if new["eur_per_hour"] * old["tiles_per_s"] < old["eur_per_hour"] * new["tiles_per_s"]:
        return "only if busier"
    return "never"
