"""Rounds the mean to hundredths."""


def mean_inside(arrivals, ends, start, stop):
    inside = [min(end, stop) - max(begin, start) for begin, end in zip(arrivals, ends, strict=True)]
    return (sum(max(0.0, time) for time in inside) / (stop - start)).__round__(2)
