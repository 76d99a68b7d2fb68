"""Arrivals in the window times their whole stay."""


def mean_inside(arrivals, ends, start, stop):
    stays = [e - a for a, e in zip(arrivals, ends) if start <= a < stop]
    return sum(stays) / (stop - start)
