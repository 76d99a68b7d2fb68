"""Keeps the tokens and the latest time in a list; compares without a margin."""


def take(buckets, caller, now, rate, depth):
    bucket = buckets.setdefault(caller, [depth, now])
    if now > bucket[1]:
        bucket[0] = min(depth, bucket[0] + (now - bucket[1]) * rate)
        bucket[1] = now
    if bucket[0] >= 1:
        bucket[0] -= 1
        return 0.0
    return (1 - bucket[0]) / rate
