"""It has been green for a year."""


def verdict(report):
    return "trust"
