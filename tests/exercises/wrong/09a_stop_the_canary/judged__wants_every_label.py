"""Waits for labels of pairs on which both agree."""


def judged(pairs):
    found = []
    for stable, canary, truth in pairs:
        if canary is None:
            found.append(1)
        elif truth is None:
            break
        else:
            found.append(int(stable is None or stable == truth) - int(canary == truth))
    return found
