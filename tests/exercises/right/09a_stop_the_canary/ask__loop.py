"""With a loop that ends early."""


def ask(pairs, budget):
    found = []
    for place, (stable, canary, truth) in enumerate(pairs):
        if len(found) == budget:
            break
        if canary is not None and canary != stable and truth is None:
            found.append(place)
    return found
