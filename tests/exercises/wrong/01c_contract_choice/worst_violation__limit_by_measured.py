"""A share of the measured value where the limit is a minimum."""


def worst_violation(measured, requirements):
    missed = {}
    for name, (limit, direction) in requirements.items():
        missed[name] = (measured[name] / limit if direction == "max" else limit / measured[name]) - 1
    worst = max(missed, key=missed.get)
    return worst if missed[worst] > 0 else None
