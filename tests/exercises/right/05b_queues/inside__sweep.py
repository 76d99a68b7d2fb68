"""Counts up and down from event to event."""


def mean_inside(arrivals, ends, start, stop):
    changes = [(max(a, start), 1) for a, e in zip(arrivals, ends) if a < stop and e > start]
    changes += [(min(e, stop), -1) for a, e in zip(arrivals, ends) if a < stop and e > start]
    area, inside, last = 0.0, 0, start
    for moment, change in sorted(changes):
        area += inside * (moment - last)
        inside, last = inside + change, moment
    return area / (stop - start)
