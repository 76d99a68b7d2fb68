"""Takes the rates out of the caller's list."""

import numpy as np


def highest_rate(latency_at, rates, limit):
    carried = 0.0
    while rates:
        rate = min(rates)
        rates.remove(rate)
        if np.percentile(latency_at(rate), 99) > limit:
            break
        carried = rate
    return carried
