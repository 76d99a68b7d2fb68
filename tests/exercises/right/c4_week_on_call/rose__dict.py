"""A list, with the lines matched one by one."""


def rose(before, now, more):
    for n in now:
        (o,) = [b for b in before if b.what == n.what]
        f = more if n.what in {"balancer units", "egress", "logs", "pictures kept"} else 1
        if n.eur / (o.eur * f) - 1 > 0.05:
            up = (n.eur / n.quantity) / (o.eur / o.quantity)
            return [n.what, "price" if up > 1.05 else "quantity", n.eur - f * o.eur]
    return None
