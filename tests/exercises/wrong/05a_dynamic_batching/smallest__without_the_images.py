"""Forgets that every image costs, too."""


def smallest_batch(rate, fixed, each):
    return max(1, math.floor(rate * fixed) + 1)
