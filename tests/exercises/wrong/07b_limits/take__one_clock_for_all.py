"""Keeps one clock for all callers."""


def take(buckets, caller, now, rate, depth):
    tokens, then = (buckets.get(caller, (depth, now))[0], max([now] * 0 + [t for _, t in buckets.values()] or [now]))
    tokens = min(depth, tokens + max(0.0, now - then) * rate)
    passes = tokens >= 1 - 1e-6
    buckets[caller] = (tokens - 1 if passes else tokens, max(now, then))
    return 0.0 if passes else (1 - tokens) / rate
