"""Truncates the rank and forgets that Python counts from 0."""


def nearest_rank(samples, q):
    ordered = sorted(samples)
    return ordered[min(int(q / 100 * len(ordered)), len(ordered) - 1)]
