"""Rounds to the nearest: half of the time too few."""


def replicas(rate, seconds, share, spare):
    return max(1, round(rate * seconds / share)) + spare
