"""The line that is furthest above its share."""


def rose(before, now, more):
    was = {line.what: (line.quantity, line.eur) for line in before}
    shares = {}
    for line in now:
        quantity, eur = was[line.what]
        factor = 1.0 if line.what in {"machines", "balancer"} else more
        shares[line.what] = (line.eur / (eur * factor), line.quantity / (quantity * factor), line.eur - eur * factor)
    what, (euros, units, above) = max(shares.items(), key=lambda item: item[1][0])
    if euros <= 1.05:
        return None
    return what, ("quantity" if units > 1.05 else "price"), above
