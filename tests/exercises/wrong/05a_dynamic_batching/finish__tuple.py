"""Returns a tuple."""


def finish(arrivals, most, wait, fixed, each):
    waiting = list(arrivals)
    done, free = [], 0.0
    while waiting:
        full = waiting[min(most, len(waiting)) - 1]
        start = max(free, min(full, waiting[0] + wait))
        n = 0
        while waiting and n < most and waiting[0] <= start:
            waiting.pop(0)
            n += 1
        free = start + fixed + n * each
        done += [free] * n
    return tuple(done)
