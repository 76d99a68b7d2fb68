"""Repeats the long latency for each omitted request: those sent later would have waited less."""

import numpy as np


def backfill(latencies, period):
    return np.repeat(latencies, [max(1, int(np.ceil(latency / period))) for latency in latencies])
