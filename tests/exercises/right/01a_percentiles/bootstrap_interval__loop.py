"""One resample at a time, with indices and the sorted percentiles' own ends."""

import numpy as np


def bootstrap_interval(samples, q, confidence, resamples, rng):
    samples, found = np.array(samples), []
    for _ in range(resamples):
        chosen = samples[rng.integers(0, len(samples), len(samples))]
        found.append(np.percentile(chosen, q, method="inverted_cdf"))
    return np.percentile(found, 50 - 50 * confidence), np.percentile(found, 50 + 50 * confidence)
