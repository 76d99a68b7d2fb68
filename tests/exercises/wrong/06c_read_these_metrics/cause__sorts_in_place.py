"""Sorts the caller's metrics."""

import numpy as np


def cause(m):
    for k in m:
        if k != "limit_mib" and k not in ("queue", "restarts", "memory_mib"):
            m[k].sort(axis=0)
    if np.median(m["throttled"]) > 0.2:
        return "throttled"
    if np.median(m["upstream_ms"]) > 0.5 * np.median(m["p99_ms"]):
        return "upstream"
    s = np.median(m["p99_ms"], axis=0)
    if s.max() > 3 * np.median(s):
        return "one sick"
    if np.median(m["cpu_of_limit"]) > 0.9:
        return "too few"
    if m["restarts"].sum() > m["restarts"].shape[1] and m["memory_mib"].max() > 0.9 * m["limit_mib"]:
        return "memory"
    return "nothing"
