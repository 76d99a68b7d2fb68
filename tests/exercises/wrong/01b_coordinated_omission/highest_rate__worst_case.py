"""The worst request, not the 99th percentile."""


def highest_rate(latency_at, rates, limit):
    carried = 0.0
    for rate in sorted(rates):
        if max(latency_at(rate)) > limit:
            break
        carried = rate
    return carried
