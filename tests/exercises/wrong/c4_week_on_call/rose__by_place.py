"""Matches lines by their place, and reports the rise since last month."""


def rose(before, now, more):
    for was, line in zip(before, now):
        fixed = line.what in ("machines", "balancer")
        quantity = was.quantity * (1 if fixed else more)
        if line.eur > 1.05 * was.eur * (1 if fixed else more):
            return line.what, "quantity" if line.quantity > 1.05 * quantity else "price", line.eur - was.eur
    return None
