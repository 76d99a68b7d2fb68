"""One reason after the other."""


def dead(rules, buckets):
    def reason(r):
        if min(abs(r["bucket"] - b) for b in buckets) > 1e-9:
            return "no data"
        needs = r["factor"] * r["budget"]
        if needs >= 1:
            return "more than everything"
        return "too late" if needs * r["long"] + r["wait"] >= r["lasts"] else ""

    return [name for name, r in rules.items() if reason(r)]
