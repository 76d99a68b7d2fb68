"""Takes the old wishes out of the caller's list."""


def follow(wishes, start, window):
    counts, now, seen = [], start, 0
    while seen < len(wishes):
        seen += 1
        if seen > window:
            wishes.pop(0)
            seen -= 1
        wish = wishes[seen - 1]
        now = wish if wish > now else min(now, max(wishes[:seen]))
        counts.append(now)
    return counts
