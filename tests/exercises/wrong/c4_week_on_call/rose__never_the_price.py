"""Never asks what a unit costs."""


def rose(before, now, more):
    old = {line.what: line for line in before}
    for line in now:
        expected = old[line.what].eur * (1 if line.what in ("machines", "balancer") else more)
        if line.eur > 1.05 * expected:
            return line.what, "quantity", line.eur - expected
    return None
