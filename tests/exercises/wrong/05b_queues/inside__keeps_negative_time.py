"""Requests outside the window count as negative time."""


def mean_inside(arrivals, ends, start, stop):
    return sum(min(e, stop) - max(a, start) for a, e in zip(arrivals, ends)) / (stop - start)
