"""Expects machines and balancer to follow the traffic."""


def rose(before, now, more):
    old = {line.what: line for line in before}
    for line in now:
        was = old[line.what]
        if line.eur > 1.05 * was.eur * more:
            dearer = line.eur / line.quantity > 1.05 * was.eur / was.quantity
            return line.what, "price" if dearer else "quantity", line.eur - was.eur * more
    return None
