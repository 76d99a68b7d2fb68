"""Takes every queue for load: throttled and waiting pods have queues, too."""


def cause(m):
    if m["queue"].mean() > 4:
        return "too few"
    if np.median(m["upstream_ms"]) > 60:
        return "upstream"
    return "memory" if m["memory_mib"].max() > 0.9 * m["limit_mib"] else "nothing"
