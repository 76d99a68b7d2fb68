"""With itertools and one table."""

from itertools import takewhile


def judged(pairs):
    def one(pair):
        stable, canary, truth = pair
        if canary is None:
            return 1
        if stable == canary:
            return 0
        if truth is None:
            return None
        return (stable in (None, truth)) * 1 - (canary == truth) * 1

    return list(takewhile(lambda d: d is not None, map(one, pairs)))
