"""Keeps the last wishes."""


def follow(wishes, start, window):
    from collections import deque

    recent, counts, now = deque(maxlen=window), [], start
    for wish in wishes:
        recent.append(wish)
        now = wish if wish > now else min(now, max(recent))
        counts.append(now)
    return counts
