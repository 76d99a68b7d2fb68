"""Takes unknown names out of the caller's set."""


def choose(weights, connections, last, up, most):
    up &= set(weights)
    able = [n for n in weights if n in up and weights[n] > 0 and connections.get(n, 0) < most]
    return min(able, key=lambda n: (connections.get(n, 0) / weights[n], last.get(n, -1)), default=None)
