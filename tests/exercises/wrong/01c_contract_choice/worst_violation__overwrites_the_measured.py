"""Writes the shares over what was measured."""


def worst_violation(measured, requirements):
    for name, (limit, direction) in requirements.items():
        excess = (measured[name] - limit) / limit
        measured[name] = excess if direction == "max" else -excess
    worst = max(requirements, key=measured.get)
    return worst if measured[worst] > 0 else None
