"""Counts up until the risk is small enough."""


def requests_needed(q, risk):
    n, missed = 0, 1.0
    while missed > risk:
        n, missed = n + 1, missed * q / 100
    return n
