"""Applies the manifests to the caller's settings."""

import numpy as np


def choose(m, now, manifests):
    s = np.median(m["p99_ms"], axis=0)
    old = dict(now)
    if np.median(m["throttled"]) > 0.2:

        def f(t):
            return t["cpu"] >= 1.5 * old["cpu"]
    elif np.median(m["upstream_ms"]) > 0.5 * np.median(m["p99_ms"]):

        def f(t):
            return t["fallback"]
    elif s.max() > 3 * np.median(s):

        def f(t):
            return int(s.argmax()) in t["restart"]
    elif np.median(m["cpu_of_limit"]) > 0.9:

        def f(t):
            return t["replicas"] * 0.7 >= 1.5 * old["replicas"]
    elif m["restarts"].sum() > old["replicas"] and m["memory_mib"].max() > 0.9 * old["memory_mib"]:

        def f(t):
            return t["memory_mib"] >= 1.5 * old["memory_mib"]
    else:

        def f(t):
            return True

    best = None
    for i, x in enumerate(manifests):
        now.update(old)
        now.update(x)
        if f(now):
            k = (
                now["replicas"] * (now["cpu"] * 25 + now["memory_mib"] / 1024 * 3.5),
                sum(now[a] != old[a] for a in old),
                i,
            )
            best = min(best, k) if best else k
    return best[2]
