"""Solved in fractions of the numbers as they are written."""

from fractions import Fraction


def smallest_batch(rate, fixed, each):
    rate, fixed, each = (Fraction(repr(float(x))) for x in (rate, fixed, each))
    if rate * each >= 1:
        return None
    return max(1, math.floor(rate * fixed / (1 - rate * each)) + 1)
