"""Never tells a wait of more than a minute."""


def take(buckets, caller, now, rate, depth):
    tokens, then = buckets.get(caller, (depth, now))
    tokens = min(depth, tokens + max(0.0, now - then) * rate)
    passes = tokens >= 1 - 1e-6
    buckets[caller] = (tokens - 1 if passes else tokens, max(now, then))
    return 0.0 if passes else min((1 - tokens) / rate, 60)
