"""Takes the distance from the limit, also on the good side."""


def worst_violation(measured, requirements):
    missed = {k: abs(measured[k] / lim - 1) for k, (lim, d) in requirements.items()}
    broken = [k for k, (lim, d) in requirements.items() if (measured[k] > lim) == (d == "max") and measured[k] != lim]
    return max(missed, key=missed.get) if broken else None
