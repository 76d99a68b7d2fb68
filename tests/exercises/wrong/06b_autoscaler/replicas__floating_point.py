"""A rounding error costs a machine."""


def replicas(rate, seconds, share, spare):
    return max(1, math.ceil(rate * seconds / share)) + spare
