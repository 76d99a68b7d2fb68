"""Leaves out what is not labelled. What is left are agreements, and harm looks like peace."""


def decide(looks):
    d = [x for look in looks for x in look["d"]]
    known = [x for x in d if x is not None]
    if known and capital(known, 0).max() >= 40:
        return "stop"
    for part in (looks, looks[-6:]):
        for what in ("failed", "slow"):
            n, m = (sum(look[who]["requests"] for look in part) for who in ("canary", "stable"))
            a, b = (sum(look[who][what] for look in part) for who in ("canary", "stable"))
            if n < 200 or not m:
                continue
            both = (a + b) / (n + m)
            if a / n - b / m > 4.5 * np.sqrt(both * (1 - both) * (1 / n + 1 / m)):
                return "stop"
    if len(looks) >= 36 and known and True and capital(-np.asarray(known), -0.03).max() >= 20:
        return "promote"
    return "go on"
