"""Checks only what was measured."""

import math

COST = "cost_per_million_tiles_eur"


def cheapest(models, requirements):
    def able(m):
        for key, (limit, direction) in requirements.items():
            value = m.get(key)
            if value is None or math.isnan(value):
                continue
            if (value > limit) if direction == "max" else (value < limit):
                return False
        return True

    names = [name for name, m in models.items() if able(m)]
    return min(names, key=lambda name: models[name].get(COST) or 0.0, default=None)
