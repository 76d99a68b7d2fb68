"""Takes the first that keeps everything."""


def choose(offers, work):
    for o in offers:
        if (
            o["p99_ms"] <= work["p99_ms"]
            and (work["limit"] is None or o["price"] <= work["limit"])
            and (not work["eu"] or o["region"] == "eu")
            and (o["kind"] != "spot" or work["interruptible"])
        ):
            return o["name"]
    return None
