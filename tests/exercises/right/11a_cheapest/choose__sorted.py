def choose(offers, work):
    def broken(o):
        return (
            o["p99_ms"] > work["p99_ms"]
            or (work["limit"] is not None and o["price"] > work["limit"])
            or (work["eu"] and o["region"] != "eu")
            or (o["kind"] == "spot" and not work["interruptible"])
        )

    ranked = sorted(offers, key=lambda o: (broken(o), o["price"], o["units"]))
    return ranked[0]["name"] if ranked and not broken(ranked[0]) else None
