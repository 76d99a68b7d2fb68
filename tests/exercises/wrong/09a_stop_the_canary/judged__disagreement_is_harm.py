"""Takes every labelled disagreement for harm."""


def judged(pairs):
    found = []
    for stable, canary, truth in pairs:
        if stable == canary and canary is not None:
            found.append(0)
        elif truth is None and canary is not None:
            break
        else:
            found.append(1)
    return found
