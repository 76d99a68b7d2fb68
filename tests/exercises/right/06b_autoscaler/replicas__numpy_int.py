"""A whole number of NumPy."""

import numpy as np


def replicas(rate, seconds, share, spare):
    return max(1, np.ceil(np.round(rate * seconds / share, 7)).astype(int)) + spare
