"""Takes a limit of 0 for none."""


def choose(offers, work):
    kept = [
        offer
        for offer in offers
        if offer["p99_ms"] <= work["p99_ms"]
        and (not work["limit"] or offer["price"] <= work["limit"])
        and (not work["eu"] or offer["region"] == "eu")
        and (offer["kind"] != "spot" or work["interruptible"])
    ]
    best = min(kept, key=lambda offer: (offer["price"], offer["units"]), default=None)
    return best and best["name"]
