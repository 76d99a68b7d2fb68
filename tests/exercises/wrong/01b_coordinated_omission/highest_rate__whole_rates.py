"""Cuts the rate to a whole number."""


def highest_rate(latency_at, rates, limit):
    carried = 0.0
    for rate in sorted(rates):
        if np.percentile(latency_at(rate), 99) > limit:
            break
        carried = int(rate)
    return carried
