"""Takes -1 s for never, which a clock may show."""


def choose(weights, connections, last, up, most):
    able = [n for n, weight in weights.items() if n in up and weight > 0 and connections.get(n, 0) < most]
    if not able:
        return None
    return min(able, key=lambda n: (connections.get(n, 0) / weights[n], last.get(n, -1.0)))
