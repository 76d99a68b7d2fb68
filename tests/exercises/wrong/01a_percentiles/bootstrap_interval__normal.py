"""Mean and deviation of the percentiles, as if they were normal: below the smallest latency there is."""

from statistics import NormalDist


def bootstrap_interval(samples, q, confidence, resamples, rng):
    draws = rng.choice(np.asarray(samples), size=(resamples, len(samples)))
    percentiles = np.percentile(draws, q, axis=1)
    width = NormalDist().inv_cdf((1 + confidence) / 2) * percentiles.std()
    return percentiles.mean() - width, percentiles.mean() + width
