"""Reports the rise since last month, not what is above the expected."""


def rose(before, now, more):
    old = {line.what: line for line in before}
    for line in now:
        was = old[line.what]
        if line.eur > 1.05 * was.eur * (1 if line.what in ("machines", "balancer") else more):
            dearer = line.eur / line.quantity > 1.05 * was.eur / was.quantity
            return line.what, "price" if dearer else "quantity", line.eur - was.eur
    return None
