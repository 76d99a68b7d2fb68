"""Takes 0 for the beginning of time."""


def take(buckets, caller, now, rate, depth):
    t, then = buckets.get(caller, (depth, 0.0))
    t = min(depth, t + max(0, now - then) * rate)
    now = max(now, then)
    ok = t >= 1 - 1e-6
    buckets[caller] = (t - ok, now)
    return 0.0 if ok else (1 - t) / rate
