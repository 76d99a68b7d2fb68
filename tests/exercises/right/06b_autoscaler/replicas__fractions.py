"""Exact arithmetic on the written numbers."""


def replicas(rate, seconds, share, spare):
    from fractions import Fraction

    need = Fraction(str(rate)) * Fraction(str(seconds)) / Fraction(str(share))
    return max(1, -int(-need // 1)) + spare
