"""Compares differences in MB with differences in shares."""


def worst_violation(measured, requirements):
    missed = {k: (measured[k] - lim) * (1 if d == "max" else -1) for k, (lim, d) in requirements.items()}
    worst = max(missed, key=missed.get)
    return worst if missed[worst] > 0 else None
