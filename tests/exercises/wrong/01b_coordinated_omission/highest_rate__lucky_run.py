"""Takes the highest rate that passed, although a lower one failed."""

import numpy as np


def highest_rate(latency_at, rates, limit):
    return max((rate for rate in rates if np.percentile(latency_at(rate), 99) <= limit), default=0.0)
