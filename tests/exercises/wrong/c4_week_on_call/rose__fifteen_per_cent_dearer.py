"""Sees a dearer unit from 15 % on only."""


def rose(before, now, more):
    """None, or (what, cause, euros)."""
    old = {line.what: line for line in before}
    for line in now:
        was = old[line.what]
        expected = was.eur * (1.0 if line.what in ("machines", "balancer") else more)
        if line.eur > 1.05 * expected:
            dearer = line.eur / line.quantity > 1.15 * was.eur / was.quantity
            return line.what, "price" if dearer else "quantity", line.eur - expected
    return None
