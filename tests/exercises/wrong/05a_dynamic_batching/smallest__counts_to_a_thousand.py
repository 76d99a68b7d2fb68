"""Gives up after a thousand."""


def smallest_batch(rate, fixed, each):
    return next((n for n in range(1, 1001) if n > rate * (fixed + n * each)), None)
