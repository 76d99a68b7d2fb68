"""Takes a hundredth of a token for nothing."""


def take(buckets, caller, now, rate, depth):
    tokens, then = buckets.get(caller, (depth, now))
    tokens = min(depth, tokens + max(0.0, now - then) * rate)
    passes = tokens >= 1 - 1e-2
    buckets[caller] = (tokens - 1 if passes else tokens, max(now, then))
    return 0.0 if passes else (1 - tokens) / rate
