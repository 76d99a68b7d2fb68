"""Looks for a violation; NaN violates nothing."""


def cheapest(models, requirements):
    def broken(m):
        for key, (limit, direction) in requirements.items():
            value = m.get(key)
            if value is None or (direction == "max" and value > limit) or (direction == "min" and value < limit):
                return True
        return False

    names = [name for name, m in models.items() if not broken(m)]
    return min(names, key=lambda name: models[name]["cost_per_million_tiles_eur"], default=None)
