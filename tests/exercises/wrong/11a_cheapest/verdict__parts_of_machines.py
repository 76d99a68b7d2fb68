"""Half a machine cannot be rented."""


def verdict(old, new, work):
    def hourly(o):
        return work["peak"] / (0.8 * o["tiles_per_s"]) * o["eur_per_hour"]

    if hourly(new) < hourly(old):
        return "take"
    return "only if busier" if new["eur_per_hour"] < 1 else "never"
