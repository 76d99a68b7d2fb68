"""Takes a bound near a bucket's for the bucket's."""


def dead(rules, buckets):
    found = []
    for name, r in rules.items():
        limit = r["factor"] * r["budget"]
        reached = r["long"] * limit + r["wait"]  # the short window is over its limit sooner
        if not any(abs(r["bucket"] - b) < 1e-3 for b in buckets) or limit >= 1 or reached >= r["lasts"]:
            found.append(name)
    return found
