"""Returns an array with one value."""

import numpy as np


def nearest_rank(samples, q):
    return np.atleast_1d(np.percentile(samples, q, method="inverted_cdf"))
