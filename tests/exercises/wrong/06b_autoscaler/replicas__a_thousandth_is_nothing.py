"""Forgives a thousandth of a replica, which is load."""


def replicas(rate, seconds, share, spare):
    return max(1, math.ceil(rate * seconds / share - 1e-3)) + spare
