"""Turns, whoever is busy."""


def choose(weights, connections, last, up, most):
    able = [n for n, weight in weights.items() if n in up and weight > 0 and connections.get(n, 0) < most]
    if not able:
        return None
    return min(able, key=lambda n: last.get(n, -np.inf))
