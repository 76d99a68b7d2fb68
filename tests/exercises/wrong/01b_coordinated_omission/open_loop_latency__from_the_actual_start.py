"""Measures from the moment the worker began: what a closed loop sees."""

import numpy as np


def open_loop_latency(intended, service):
    start, free = [], 0.0
    for due, work in zip(intended, service, strict=True):
        start.append(max(due, free))
        free = start[-1] + work
    return np.array(start) + service - np.array(start)
