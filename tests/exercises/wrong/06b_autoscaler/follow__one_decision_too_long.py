"""The window leaves out the present decision."""


def follow(wishes, start, window):
    counts, now = [], start
    for i, wish in enumerate(wishes):
        if wish > now:
            now = wish
        elif wish < now:
            now = min(now, max(wishes[max(0, i - window) : i + 1]))
        counts.append(now)
    return counts
