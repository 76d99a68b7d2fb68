"""A full server gets one more."""


def choose(weights, connections, last, up, most):
    able = [n for n, weight in weights.items() if n in up and weight > 0]
    if not able:
        return None
    return min(able, key=lambda n: (connections.get(n, 0) / weights[n], last.get(n, -np.inf)))
