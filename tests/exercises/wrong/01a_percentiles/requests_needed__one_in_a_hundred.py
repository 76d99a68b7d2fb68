"""One expected value beyond the percentile, whatever the risk."""


def requests_needed(q, risk):
    return round(100 / (100 - q))
