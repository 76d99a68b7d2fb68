"""Sorts the caller's list."""

import numpy as np


def highest_rate(latency_at, rates, limit):
    carried = 0.0
    rates.sort()
    for rate in rates:
        if np.percentile(latency_at(rate), 99) > limit:
            break
        carried = rate
    return carried
