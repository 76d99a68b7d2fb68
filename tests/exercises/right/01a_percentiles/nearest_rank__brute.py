"""The definition, value by value."""


def nearest_rank(samples, q):
    n = len(samples)
    return min(v for v in samples if sum(w <= v for w in samples) * 100 >= q * n)
