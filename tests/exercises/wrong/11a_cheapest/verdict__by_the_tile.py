"""Compares full machines: an idle GPU looks cheap."""


def verdict(old, new, work):
    return "take" if new["eur_per_hour"] / new["tiles_per_s"] < old["eur_per_hour"] / old["tiles_per_s"] else "never"
