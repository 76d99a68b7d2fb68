"""One percentile too low."""


def highest_rate(latency_at, rates, limit):
    carried = 0.0
    for rate in sorted(rates):
        if sorted(seen := latency_at(rate))[int(0.98 * len(seen))] > limit:
            break
        carried = rate
    return carried
