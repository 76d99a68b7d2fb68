"""Waits for the tile just before, but forgets that it had to wait as well."""

import numpy as np


def open_loop_latency(intended, service):
    latency = np.array(service, dtype=float)
    for i in range(1, len(service)):
        latency[i] += max(0.0, intended[i - 1] + service[i - 1] - intended[i])
    return latency
