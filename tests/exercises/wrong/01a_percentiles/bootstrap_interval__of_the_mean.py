"""Bootstraps the mean: a narrow interval of something else."""

import numpy as np


def bootstrap_interval(samples, q, confidence, resamples, rng):
    middle = np.percentile(samples, q)
    draws = rng.choice(samples, (resamples, len(samples))).mean(axis=1) - np.mean(samples)
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return middle + low, middle + high
