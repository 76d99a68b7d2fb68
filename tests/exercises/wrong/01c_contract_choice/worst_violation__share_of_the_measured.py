"""Divides by the measured value: 15 ms at a limit of 10 would be a third too much."""


def worst_violation(measured, requirements):
    missed = {k: (1 - lim / measured[k]) * (1 if d == "max" else -1) for k, (lim, d) in requirements.items()}
    worst = max(missed, key=missed.get)
    return worst if missed[worst] > 0 else None
