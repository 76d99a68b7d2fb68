"""Waits on the way up, too."""


def follow(wishes, start, window):
    counts, now = [], start
    for i in range(len(wishes)):
        seen = wishes[max(0, i - window + 1) : i + 1]
        now = max(seen) if max(seen) < now else (min(seen) if min(seen) > now else now)
        counts.append(now)
    return counts
