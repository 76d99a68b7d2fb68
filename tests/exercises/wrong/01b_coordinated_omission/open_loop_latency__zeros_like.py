"""Puts latencies into an array of the arrivals' type: whole seconds cut them off."""

import numpy as np


def open_loop_latency(intended, service):
    latency = np.zeros_like(intended)
    free = -np.inf
    for i in range(len(intended)):
        free = max(free, intended[i]) + service[i]
        latency[i] = free - intended[i]
    return latency
