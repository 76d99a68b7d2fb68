"""Subtracts the period until nothing is left."""

import numpy as np


def backfill(latencies, period):
    filled = []
    for latency in latencies:
        while latency > 0:
            filled.append(latency)
            latency = latency - period
    return np.array(filled)
