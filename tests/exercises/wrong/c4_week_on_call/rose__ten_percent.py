"""Forgives half as much again."""


def rose(before, now, more):
    """None, or (what, cause, euros)."""
    old = {line.what: line for line in before}
    for line in now:
        was = old[line.what]
        expected = was.eur * (1.0 if line.what in ("machines", "balancer") else more)
        if line.eur > 1.5 * expected:
            dearer = line.eur / line.quantity > 1.05 * was.eur / was.quantity
            return line.what, "price" if dearer else "quantity", line.eur - expected
    return None
