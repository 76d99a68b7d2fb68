"""Rounds to hundredths before it rounds up."""


def replicas(rate, seconds, share, spare):
    return max(1, math.ceil(round(rate * seconds / share, 2))) + spare
