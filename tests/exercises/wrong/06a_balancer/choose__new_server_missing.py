"""Passes over a server that was just added and has no connections yet."""


def choose(weights, connections, last, up, most):
    able = [n for n in weights if n in up and weights[n] > 0 and n in connections and connections[n] < most]
    if not able:
        return None
    return min(able, key=lambda n: (connections[n] / weights[n], last.get(n, -np.inf)))
