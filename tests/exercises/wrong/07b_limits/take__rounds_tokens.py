"""Rounds tokens to thousandths."""


def take(buckets, caller, now, rate, depth):
    tokens, then = buckets.get(caller, (depth, now))
    tokens = min(depth, round(tokens + max(0.0, now - then) * rate, 3))
    passes = tokens >= 1 - 1e-6
    buckets[caller] = (tokens - 1 if passes else tokens, max(now, then))
    return 0.0 if passes else (1 - tokens) / rate
