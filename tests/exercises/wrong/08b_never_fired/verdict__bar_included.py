"""As many alarms as allowed are too many."""

import math

import numpy as np


def verdict(r):
    if set(r["reference_ids"]) & set(r["live_ids"]):
        return "leak"
    if not r["check_windows"] or set(r["null_windows"]) & set(r["check_windows"]):
        return "in sample"
    c, p = np.array(r["check"], float), np.array(r["planted"], float)
    n = len(c)
    if (~(c <= r["limit"])).sum() >= r["rate"] * n + 2 * math.sqrt(r["rate"] * (1 - r["rate"]) * n):
        return "cries wolf"
    return "trust" if len(p) and (p > r["limit"]).mean() >= 0.9 else "blind"
