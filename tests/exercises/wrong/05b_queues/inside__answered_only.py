"""Leaves out whoever never got an answer."""


def mean_inside(arrivals, ends, start, stop):
    pairs = [(a, e) for a, e in zip(arrivals, ends) if e <= stop]
    return sum(max(0.0, e - max(a, start)) for a, e in pairs) / (stop - start)
