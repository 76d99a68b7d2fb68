"""Leaves out requests that are inside only shortly."""


def mean_inside(arrivals, ends, start, stop):
    inside = [min(end, stop) - max(begin, start) for begin, end in zip(arrivals, ends, strict=True)]
    return sum(max(0.0, time) if time > 0.05 else 0.0 for time in inside) / (stop - start)
