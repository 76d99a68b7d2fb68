"""Right, and a million steps to get there."""


def smallest_batch(rate, fixed, each):
    if rate * each >= 1:
        return None
    n = 1
    while n <= rate * (fixed + n * each):
        n += 1
    return n
