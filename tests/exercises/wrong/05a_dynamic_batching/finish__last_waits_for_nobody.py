"""The last callers wait out the timer although nobody else will come."""


def finish(arrivals, most, wait, fixed, each):
    done, free, first = [], 0.0, 0
    while first < len(arrivals):
        full = arrivals[first + most - 1] if first + most <= len(arrivals) else arrivals[first] + wait
        full = full if full < 1e12 else arrivals[-1]
        start = max(free, min(full, arrivals[first] + wait))
        n = 0
        while n < most and first + n < len(arrivals) and arrivals[first + n] <= start:
            n += 1
        free = start + fixed + n * each
        done += [free] * n
        first += n
    return done
