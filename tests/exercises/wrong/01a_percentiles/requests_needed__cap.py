"""Counts up, and gives up at ten thousand."""


def requests_needed(q, risk):
    for n in range(1, 10000):
        if (q / 100) ** n <= risk * (1 + 1e-12):
            return n
    return 10000
