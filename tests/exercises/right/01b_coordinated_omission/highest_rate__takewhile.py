"""Takes rates for as long as they are carried."""

from itertools import takewhile


def highest_rate(latency_at, rates, limit):
    def carried(rate):
        return np.quantile(np.asarray(latency_at(rate), float), 0.99) <= limit

    return max(takewhile(carried, sorted(rates)), default=0.0)
