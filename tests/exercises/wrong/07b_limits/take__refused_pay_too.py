"""A refused request moves the clock without its tokens: who keeps asking never gets in."""


def take(buckets, caller, now, rate, depth):
    tokens, then = buckets.get(caller, (depth, now))
    tokens = min(depth, tokens + max(0.0, now - then) * rate) - 1
    buckets[caller] = (tokens, max(now, then))
    return 0.0 if tokens >= 0 else -tokens / rate
