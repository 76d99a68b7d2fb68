"""Other windows and limits, and a larger stake before it stops."""


def decide(looks):
    pairs = [x for look in looks for x in look["d"]]
    if None in pairs:
        known, whole = pairs[: pairs.index(None)], False
    else:
        known, whole = pairs, bool(pairs)

    def worse(part, what):
        total = {w: sum(x[w]["requests"] for x in part) for w in ("stable", "canary")}
        if min(total.values()) < 250:
            return False
        share = {w: sum(x[w][what] for x in part) / total[w] for w in total}
        error = np.sqrt(max(share["stable"], 1e-3) / total["canary"])
        return share["canary"] - share["stable"] > 5 * error

    recent = [looks, looks[-3:], looks[-9:]]
    if any(worse(part, what) for part in recent for what in ("failed", "slow")):
        return "stop"
    if known and capital(known, 0.0).max() > 50:
        return "stop"
    if whole and len(looks) >= 40 and capital([-x for x in known], -0.03)[-1] > 20:
        return "promote"
    return "go on"
