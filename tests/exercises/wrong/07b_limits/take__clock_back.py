"""When the clock steps back and forth again, the same second pays twice."""


def take(buckets, caller, now, rate, depth):
    tokens, then = buckets.get(caller, (depth, now))
    tokens = min(depth, tokens + max(0.0, now - then) * rate)
    passes = tokens >= 1 - 1e-9
    buckets[caller] = (tokens - 1 if passes else tokens, now)
    return 0.0 if passes else (1 - tokens) / rate
