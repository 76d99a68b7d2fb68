"""The definition, word for word."""


def nearest_rank(samples, q):
    return min(x for x in samples if sum(y <= x for y in samples) >= q / 100 * len(samples) - 1e-9)
