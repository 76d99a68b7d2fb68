"""A limit that is used up counts as broken."""


def choose(offers, work):
    kept = [
        o
        for o in offers
        if o["p99_ms"] < work["p99_ms"]
        and (work["limit"] is None or o["price"] < work["limit"])
        and (not work["eu"] or o["region"] == "eu")
        and (o["kind"] != "spot" or work["interruptible"])
    ]
    best = min(kept, key=lambda o: (o["price"], o["units"]), default=None)
    return best and best["name"]
