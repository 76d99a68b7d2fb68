"""Right value, but the caller's measurements are in another order afterwards."""

import numpy as np


def nearest_rank(samples, q):
    if not isinstance(samples, np.ndarray):
        samples = list(samples)
    samples.sort()
    return samples[max(0, int(np.ceil(q / 100 * len(samples))) - 1)]
