"""The windows fill in time; that `wait` must pass too is forgotten."""


def dead(rules, buckets):
    found = []
    for name, r in rules.items():
        limit = r["factor"] * r["budget"]
        bad = not any(math.isclose(r["bucket"], b) for b in buckets)
        if bad or limit >= 1 or r["long"] * limit >= r["lasts"]:
            found.append(name)
    return found
