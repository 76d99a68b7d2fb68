"""Adds requests that would not have waited at all."""

import numpy as np


def backfill(latencies, period):
    filled = []
    for latency in latencies:
        filled.append(latency)
        while latency - period >= 0:
            latency = latency - period
            filled.append(latency)
    return np.array(filled)
