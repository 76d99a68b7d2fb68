"""Compares whole euros."""


def cheapest(models, requirements):
    def met(value, limit, direction):
        if value is None:
            return False
        return value <= limit if direction == "max" else value >= limit  # False for NaN either way

    able = [
        name
        for name, measured in models.items()
        if all(met(measured.get(key), *requirement) for key, requirement in requirements.items())
    ]
    return min(able, key=lambda name: round(models[name]["cost_per_million_tiles_eur"]), default=None)
