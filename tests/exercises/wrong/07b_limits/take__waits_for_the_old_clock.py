"""Counts the wait from the clock that stepped back: longer than it takes."""


def take(buckets, caller, now, rate, depth):
    tokens, then = buckets.get(caller, (depth, now))
    latest = max(now, then)
    tokens = min(depth, tokens + (latest - then) * rate)
    passes = tokens >= 1 - 1e-9
    buckets[caller] = (tokens - 1 if passes else tokens, latest)
    return 0.0 if passes else latest - now + (1 - tokens) / rate
