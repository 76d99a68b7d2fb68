"""Rounds to hundredths before it compares."""


def cheapest(models, requirements):
    def met(value, limit, direction):
        if value is None:
            return False
        return value <= limit if direction == "max" else round(value, 2) >= limit  # False for NaN either way

    able = [
        name
        for name, measured in models.items()
        if all(met(measured.get(key), *requirement) for key, requirement in requirements.items())
    ]
    return min(able, key=lambda name: models[name]["cost_per_million_tiles_eur"], default=None)
