"""The spare ones count as needed ones."""


def replicas(rate, seconds, share, spare):
    return max(1 + spare, math.ceil(rate * seconds / share - 1e-9))
