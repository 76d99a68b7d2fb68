"""Keeps the worst so far."""


def worst_violation(measured, requirements):
    worst, share = None, 0.0
    for name, (limit, direction) in requirements.items():
        over = measured[name] / limit - 1
        if direction == "min":
            over = -over
        if over > share:
            worst, share = name, over
    return worst
