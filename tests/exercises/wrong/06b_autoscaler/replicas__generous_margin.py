"""A hundredth of a replica is more than floating point asks for."""

import math


def replicas(rate, seconds, share, spare):
    return max(1, math.ceil(rate * seconds / share - 0.01)) + spare
