"""Sorts the candidates."""


def choose(weights, connections, last, up, most):
    order = list(weights)
    free = [n for n in order if n in up if weights[n] if connections.get(n, 0) < most]
    free.sort(key=lambda n: (n in last, last.get(n, 0), order.index(n)))
    free.sort(key=lambda n: connections.get(n, 0) / weights[n])
    return free[0] if free else None
