"""Drops parts of tokens whenever a request passes."""


def take(buckets, caller, now, rate, depth):
    tokens, then = buckets.get(caller, (depth, now))
    tokens = min(depth, tokens + max(0.0, now - then) * rate)
    passes = tokens >= 1 - 1e-6
    buckets[caller] = (float(int(tokens - 1 + 1e-6)) if passes else tokens, max(now, then))
    return 0.0 if passes else (1 - tokens) / rate
