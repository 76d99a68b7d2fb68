"""Has its own idea of how often to draw."""


def bootstrap_interval(samples, q, confidence, resamples, rng):
    draws = rng.choice(np.asarray(samples), size=(1000, len(samples)))
    percentiles = np.percentile(draws, q, axis=1)
    return tuple(np.quantile(percentiles, [(1 - confidence) / 2, (1 + confidence) / 2]))
