"""Lindley's recursion in closed form: cumulative sums and a running maximum."""

import numpy as np


def open_loop_latency(intended, service):
    done = np.cumsum(service)
    slack = np.maximum.accumulate(intended - (done - service))
    return done + slack - intended
