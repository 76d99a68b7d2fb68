"""Judges errors and time only, and nobody looks at the answers."""


def decide(looks):
    if len(looks) < 36:
        return "go on"
    n, m = (sum(look[who]["requests"] for look in looks) for who in ("canary", "stable"))
    a, b = (sum(look[who]["slow"] + look[who]["failed"] for look in looks) for who in ("canary", "stable"))
    return "go on" if not n else "stop" if a / n > 1.3 * b / m else "promote"
