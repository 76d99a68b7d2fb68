"""Judges by the mean latency."""

import numpy as np


def highest_rate(latency_at, rates, limit):
    carried = 0.0
    for rate in sorted(rates):
        if np.mean(latency_at(rate)) > limit:
            break
        carried = rate
    return carried
