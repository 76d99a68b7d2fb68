"""Takes every limit for a maximum, recall too."""


def cheapest(models, requirements):
    def able(m):
        return all(m.get(k) is not None and m[k] <= limit for k, (limit, _) in requirements.items())

    names = [name for name, m in models.items() if able(m)]
    return min(names, key=lambda name: models[name]["cost_per_million_tiles_eur"], default=None)
