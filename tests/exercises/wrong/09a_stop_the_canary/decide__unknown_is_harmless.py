"""Takes a missing label for a difference of 0."""


def decide(history):
    known = [d or 0 for d in history]
    if not known:
        return "hold"
    if capital(known, 0).max() >= 20:
        return "stop"
    return "promote" if capital([-d for d in known], -0.02).max() >= 20 else "hold"
