"""Takes one minute's burst for a lack of replicas."""


def cause(m):
    if m["p99_ms"].max() > 120:
        return "too few"
    return "memory" if m["memory_mib"].max() > 0.9 * m["limit_mib"] else "nothing"
