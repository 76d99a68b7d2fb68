"""Takes a missing limit for a limit of nothing."""


def choose(offers, work):
    kept = [
        o
        for o in offers
        if o["p99_ms"] <= work["p99_ms"]
        and o["price"] <= (work["limit"] or 0)
        and (not work["eu"] or o["region"] == "eu")
        and (o["kind"] != "spot" or work["interruptible"])
    ]
    best = min(kept, key=lambda o: (o["price"], o["units"]), default=None)
    return best and best["name"]
