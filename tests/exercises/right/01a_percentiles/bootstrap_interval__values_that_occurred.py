"""Percentile and ends by rank: nothing is interpolated."""

import math


def bootstrap_interval(samples, q, confidence, resamples, rng):
    samples, n = np.asarray(samples), len(samples)
    rank = max(1, math.ceil(n * q / 100 - 1e-9)) - 1
    found = sorted(np.sort(samples[rng.integers(0, n, n)])[rank] for _ in range(resamples))
    out = int((1 - confidence) / 2 * resamples)
    return found[out], found[-1 - out]
