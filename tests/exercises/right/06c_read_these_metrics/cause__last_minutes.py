def cause(m):
    """By the means of the last five minutes, the plainest sign first."""
    late = {name: values[-5:] for name, values in m.items() if name != "limit_mib"}
    if late["throttled"].mean() > 0.15:
        return "throttled"
    if late["upstream_ms"].mean() > 60:
        return "upstream"
    if m["errors_s"].max() > 4 or m["memory_mib"].max() > 0.85 * m["limit_mib"]:
        return "memory"
    if late["cpu_of_limit"].mean() > 0.9:
        return "too few"
    queue = np.median(m["queue"], axis=0)
    return "one sick" if queue.max() > 6 else "nothing"
