"""Takes a small violation for none."""


def worst_violation(measured, requirements):
    missed = {}
    for name, (limit, direction) in requirements.items():
        excess = (measured[name] - limit) / limit
        missed[name] = excess if direction == "max" else -excess
    worst = max(missed, key=missed.get)
    return worst if missed[worst] > 1e-3 else None
