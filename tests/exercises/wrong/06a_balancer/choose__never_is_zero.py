"""A server that was never chosen counts as chosen at the start of time, like one that was."""


def choose(weights, connections, last, up, most):
    able = [n for n, weight in weights.items() if n in up and weight > 0 and connections.get(n, 0) < most]
    if not able:
        return None
    return min(able, key=lambda n: (connections.get(n, 0) / weights[n], last.get(n, 0.0)))
