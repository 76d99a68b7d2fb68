"""Leaves out pairs without a label: what is left is harmless."""


def decide(history):
    known = [d for d in history if d is not None]
    if not known:
        return "hold"
    if capital(known, 0).max() >= 20:
        return "stop"
    return "promote" if capital([-d for d in known], -0.02).max() >= 20 else "hold"
