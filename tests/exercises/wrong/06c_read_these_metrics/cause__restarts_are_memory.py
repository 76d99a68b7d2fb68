"""Takes every restart for memory, a roll-out's too."""


def cause(m):
    if m["restarts"].sum():
        return "memory"
    if np.median(m["throttled"]) > 0.2:
        return "throttled"
    if np.median(m["upstream_ms"]) > 60:
        return "upstream"
    slow = np.median(m["p99_ms"], axis=0)
    if slow.max() > 3 * np.median(slow):
        return "one sick"
    return "too few" if np.median(m["cpu_of_limit"]) > 0.9 else "nothing"
