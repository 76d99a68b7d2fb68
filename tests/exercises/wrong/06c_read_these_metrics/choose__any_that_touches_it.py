"""Takes any change of the right setting, however small."""


def choose(m, now, manifests):
    p99 = np.median(m["p99_ms"], axis=0)
    if np.median(m["throttled"]) > 0.2:
        key = "cpu"
    elif np.median(m["upstream_ms"]) > 60:
        key = "timeout_ms"
    elif p99.max() > 3 * np.median(p99):
        key = "restart"
    elif m["cpu_of_limit"].min() > 0.9:
        key = "replicas"
    elif m["memory_mib"].max() > 0.9 * m["limit_mib"]:
        key = "memory_mib"
    else:
        return [bool(x) for x in manifests].index(False)
    return next(i for i, x in enumerate(manifests) if key in x)
