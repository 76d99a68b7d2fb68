"""A stable version without an answer counts as wrong, which the canary gains by."""


def judged(pairs):
    found = []
    for stable, canary, truth in pairs:
        if canary is None:
            found.append(1)
        elif stable == canary:
            found.append(0)
        elif truth is None:
            break
        else:
            found.append(int(stable == truth) - int(canary == truth))
    return found
