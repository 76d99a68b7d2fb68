"""Searches by doubling and halving."""


def smallest_batch(rate, fixed, each):
    if rate * each >= 1:
        return None
    high = 1
    while high <= rate * (fixed + high * each):
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        if middle > rate * (fixed + middle * each):
            high = middle
        else:
            low = middle
    return high
