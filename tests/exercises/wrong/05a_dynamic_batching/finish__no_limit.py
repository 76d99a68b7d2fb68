"""A batch takes everybody who is there, however many."""


def finish(arrivals, most, wait, fixed, each):
    done, free, first = [], 0.0, 0
    while first < len(arrivals):
        full = arrivals[min(first + most, len(arrivals)) - 1]
        start = max(free, min(full, arrivals[first] + wait))
        n = 0
        while first + n < len(arrivals) and arrivals[first + n] <= start:
            n += 1
        free = start + fixed + n * each
        done += [free] * n
        first += n
    return done
