"""Takes the long window to need all of its length."""


def dead(rules, buckets):
    return [
        name
        for name, r in rules.items()
        if not any(math.isclose(r["bucket"], b) for b in buckets)
        or r["factor"] * r["budget"] >= 1
        or r["long"] + r["wait"] > r["lasts"] + 10
    ]
