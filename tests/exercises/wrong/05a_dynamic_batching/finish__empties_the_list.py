"""Takes the arrivals out of the caller's list."""


def finish(arrivals, most, wait, fixed, each):
    done, free = [], 0.0
    while arrivals:
        full = arrivals[min(most, len(arrivals)) - 1]
        start = max(free, min(full, arrivals[0] + wait))
        n = 0
        while arrivals and n < most and arrivals[0] <= start:
            arrivals.pop(0)
            n += 1
        free = start + fixed + n * each
        done += [free] * n
    return done
