"""Below the risk, where at or below is asked."""


def requests_needed(q, risk):
    n = 1
    while (q / 100) ** n >= risk:
        n += 1
    return n
