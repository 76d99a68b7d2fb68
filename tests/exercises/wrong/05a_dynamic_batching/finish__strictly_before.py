"""Who arrives at the moment of the start is left behind."""


def finish(arrivals, most, wait, fixed, each):
    done, free, first = [], 0.0, 0
    while first < len(arrivals):
        full = arrivals[min(first + most, len(arrivals)) - 1]
        start = max(free, min(full, arrivals[first] + wait))
        n = 0
        while n < most and first + n < len(arrivals) and (arrivals[first + n] < start or n == 0):
            n += 1
        free = start + fixed + n * each
        done += [free] * n
        first += n
    return done
