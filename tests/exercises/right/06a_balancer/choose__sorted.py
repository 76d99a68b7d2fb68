"""Sorts the candidates."""


def choose(weights, connections, last, up, most):
    order = list(weights)
    free = [n for n in order if n in up if weights[n] if connections[n] < most]
    free.sort(key=lambda n: (n in last, last.get(n, 0), order.index(n)))
    free.sort(key=lambda n: connections[n] / weights[n])
    return free[0] if free else None
