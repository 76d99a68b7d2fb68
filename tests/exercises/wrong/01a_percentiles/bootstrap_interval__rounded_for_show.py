"""Rounds the ends for show."""


def bootstrap_interval(samples, q, confidence, resamples, rng):
    samples = np.asarray(samples)
    draws = rng.choice(samples, size=(resamples, len(samples)), replace=True)
    percentiles = np.percentile(draws, q, axis=1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(percentiles, [tail, 1 - tail])
    return round(float(low), 2), round(float(high), 2)
