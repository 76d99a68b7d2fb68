"""Stores the time at which the bucket was, or would be, empty of debt (GCRA, the same arithmetic turned round)."""


def take(buckets, caller, now, rate, depth):
    last, ready = buckets.get(caller, (now, now - depth / rate))
    now = max(now, last)
    ready = max(ready, now - depth / rate)
    wait = ready + 1 / rate - now
    if wait * rate <= 1e-6:
        buckets[caller] = (now, ready + 1 / rate)
        return 0.0
    buckets[caller] = (now, ready)
    return wait
