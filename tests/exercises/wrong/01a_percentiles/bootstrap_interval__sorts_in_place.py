"""Sorts the caller's samples."""

import numpy as np


def bootstrap_interval(samples, q, confidence, resamples, rng):
    samples.sort()
    chosen = rng.integers(0, len(samples), (resamples, len(samples)))
    percentiles = np.percentile(samples[chosen], q, axis=1)
    tail = (1 - confidence) / 2
    return np.quantile(percentiles, tail), np.quantile(percentiles, 1 - tail)
