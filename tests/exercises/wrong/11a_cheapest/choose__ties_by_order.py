"""Of two with the same price takes whichever comes first."""


def choose(offers, work):
    kept = [
        o
        for o in offers
        if o["p99_ms"] <= work["p99_ms"]
        and (work["limit"] is None or o["price"] <= work["limit"])
        and (not work["eu"] or o["region"] == "eu")
        and (o["kind"] != "spot" or work["interruptible"])
    ]
    best = min(kept, key=lambda o: o["price"], default=None)
    return best and best["name"]
