"""Compares the price of one hour of one machine."""


def verdict(old, new, work):
    if new["eur_per_hour"] < old["eur_per_hour"]:
        return "take"
    cheap = new["eur_per_hour"] / new["tiles_per_s"] < old["eur_per_hour"] / old["tiles_per_s"]
    return "only if busier" if cheap else "never"
