"""Stops a canary that is better."""


def decide(looks):
    """ "stop", "promote" or "go on"."""
    d = [x for look in looks for x in look["d"]]
    known = d[: d.index(None)] if None in d else d
    if known and capital(known, 0).max() >= 40:
        return "stop"
    for part in (looks, looks[-6:]):
        for what in ("failed", "slow"):
            n, m = (sum(look[who]["requests"] for look in part) for who in ("canary", "stable"))
            a, b = (sum(look[who][what] for look in part) for who in ("canary", "stable"))
            if n < 200 or not m:
                continue
            both = (a + b) / (n + m)
            if abs(a / n - b / m) > 4.5 * np.sqrt(both * (1 - both) * (1 / n + 1 / m)):
                return "stop"
    seen = sum(look["canary"]["requests"] for look in looks)
    whole = known and len(known) == len(d)
    if len(looks) >= 36 and seen >= 3000 and whole and capital(-np.asarray(known), -0.03).max() >= 20:
        return "promote"
    return "go on"
