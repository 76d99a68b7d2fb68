"""A value at its limit does not pass."""


def cheapest(models, requirements):
    def met(value, limit, direction):
        return value is not None and (value < limit if direction == "max" else value > limit)

    names = [n for n, m in models.items() if all(met(m.get(k), *r) for k, r in requirements.items())]
    return min(names, key=lambda name: models[name]["cost_per_million_tiles_eur"], default=None)
