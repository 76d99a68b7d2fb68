"""Tells a wait that is a tenth of a millisecond too long."""


def take(buckets, caller, now, rate, depth):
    tokens, then = buckets.get(caller, (depth, now))
    tokens = min(depth, tokens + max(0.0, now - then) * rate)
    passes = tokens >= 1 - 1e-6
    buckets[caller] = (tokens - 1 if passes else tokens, max(now, then))
    return 0.0 if passes else (1 - tokens) / rate + 0.0001
