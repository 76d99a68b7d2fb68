"""Returns a matrix with one row."""

import numpy as np


def open_loop_latency(intended, service):
    latency, free = [], float("-inf")
    for due, work in zip(intended, service):
        free = max(due, free) + work
        latency.append(free - due)
    return np.array([latency])
