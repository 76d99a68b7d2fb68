"""Goes through the models from the cheapest on."""

import math


def cheapest(models, requirements):
    def price(name):
        value = models[name].get("cost_per_million_tiles_eur")
        return math.inf if value is None or math.isnan(value) else value

    for name in sorted(models, key=price):
        values = {key: models[name].get(key) for key in requirements}
        if any(value is None or math.isnan(value) for value in values.values()):
            continue
        signs = {"max": 1, "min": -1}
        if all(signs[d] * values[key] <= signs[d] * limit for key, (limit, d) in requirements.items()):
            return name
    return None
