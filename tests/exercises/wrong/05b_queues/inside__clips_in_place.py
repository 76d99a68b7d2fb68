"""Clips the caller's lists to the window."""


def mean_inside(arrivals, ends, start, stop):
    for i in range(len(ends)):
        arrivals[i] = max(arrivals[i], start)
        ends[i] = max(arrivals[i], min(ends[i], stop))
    return (sum(ends) - sum(arrivals)) / (stop - start)
