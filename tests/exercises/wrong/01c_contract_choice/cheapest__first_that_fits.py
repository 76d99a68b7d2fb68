"""Takes the first model that fits, not the cheapest."""


def cheapest(models, requirements):
    def met(value, limit, direction):
        return value is not None and (value <= limit if direction == "max" else value >= limit)

    return next((n for n, m in models.items() if all(met(m.get(k), *r) for k, r in requirements.items())), None)
