"""Leaves out what has no label, and so judges the easy pairs first."""


def judged(pairs):
    found = []
    for stable, canary, truth in pairs:
        if canary is None:
            found.append(1)
        elif stable == canary:
            found.append(0)
        elif truth is not None:
            found.append(int(stable is None or stable == truth) - int(canary == truth))
    return found
