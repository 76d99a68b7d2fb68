"""Drops large values as if they were mistakes of the clock."""


def nearest_rank(samples, q):
    samples = [s for s in samples if s < 1e4]
    return float(np.percentile(samples, q, method="inverted_cdf"))
