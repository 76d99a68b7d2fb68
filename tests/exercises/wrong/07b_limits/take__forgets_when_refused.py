"""Does not store the time of a refused request."""


def take(buckets, caller, now, rate, depth):
    tokens, then = buckets.get(caller, (depth, now))
    tokens = min(depth, tokens + max(0.0, now - then) * rate)
    passes = tokens >= 1 - 1e-6
    if passes:
        buckets[caller] = (tokens - 1, max(now, then))
    return 0.0 if passes else (1 - tokens) / rate
