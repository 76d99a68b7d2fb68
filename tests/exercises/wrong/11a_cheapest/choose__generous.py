"""Forgives a thousandth of a euro."""


def choose(offers, work):
    kept = [
        offer
        for offer in offers
        if offer["p99_ms"] <= work["p99_ms"]
        and (work["limit"] is None or offer["price"] <= work["limit"] + 1e-3)
        and (not work["eu"] or offer["region"] == "eu")
        and (offer["kind"] != "spot" or work["interruptible"])
    ]
    best = min(kept, key=lambda offer: (offer["price"], offer["units"]), default=None)
    return best and best["name"]
