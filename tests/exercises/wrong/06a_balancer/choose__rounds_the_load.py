"""Rounds the load to tenths before it compares."""


def choose(weights, connections, last, up, most):
    able = [n for n, weight in weights.items() if n in up and weight > 0 and connections.get(n, 0) < most]
    if not able:
        return None
    return min(able, key=lambda n: (round(connections.get(n, 0) / weights[n], 1), last.get(n, -np.inf)))
