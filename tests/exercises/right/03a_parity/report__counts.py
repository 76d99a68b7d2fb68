"""Counts tile by tile."""

import math


def report(reference, candidate, labels):
    if reference.shape != candidate.shape or len(labels) != len(reference):
        raise ValueError("other tiles")
    rows = list(zip(reference.tolist(), candidate.tolist(), labels.tolist(), strict=True))
    if not all(math.isfinite(v) for a, b, _ in rows for v in (*a, *b)):
        raise ValueError("not finite")
    same = right = was = 0
    largest = 0.0
    for a, b, label in rows:
        mine, yours = a.index(max(a)), b.index(max(b))
        same, was, right = same + (mine == yours), was + (mine == label), right + (yours == label)
        largest = max(largest, *(abs(x - y) for x, y in zip(a, b, strict=True)))
    n = len(rows)
    return {"largest_difference": largest, "agreement": same / n, "points_lost": 100 * (was - right) / n}
