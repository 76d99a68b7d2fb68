"""Forgives a hundredth beyond the limit, whatever its unit."""


def highest_rate(latency_at, rates, limit):
    carried = 0.0
    for rate in sorted(rates):
        if np.percentile(latency_at(rate), 99) > limit + 0.01:
            break
        carried = rate
    return carried
