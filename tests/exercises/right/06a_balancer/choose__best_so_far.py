"""Goes through the servers and keeps the best so far; loads are compared as products."""


def choose(weights, connections, last, up, most):
    best = None
    for name, weight in weights.items():
        mine = connections.get(name, 0)
        if name not in up or weight == 0 or mine >= most:
            continue
        if best is None:
            best = name
            continue
        here, there = mine * weights[best], connections.get(best, 0) * weight
        earlier = best in last and (name not in last or last[name] < last[best])
        if here < there or (here == there and earlier):
            best = name
    return best
