def choose(m, now, manifests):
    """What a manifest names says what it is for."""
    p99 = np.median(m["p99_ms"], axis=0)
    if np.median(m["throttled"]) > 0.2:
        good = [i for i, x in enumerate(manifests) if x.get("cpu", 0) >= 2]
    elif np.median(m["upstream_ms"]) > 60:
        good = [i for i, x in enumerate(manifests) if x.get("fallback")]
    elif p99.max() > 3 * np.median(p99):
        good = [i for i, x in enumerate(manifests) if int(p99.argmax()) in x.get("restart", ())]
    elif m["cpu_of_limit"].min() > 0.9:
        good = [i for i, x in enumerate(manifests) if x.get("replicas", 0) > 1.5 / 0.7 * len(p99)]
    elif m["memory_mib"].max() > 0.9 * m["limit_mib"]:
        good = [i for i, x in enumerate(manifests) if x.get("memory_mib", 0) >= 2 * m["limit_mib"]]
    else:
        good = [i for i, x in enumerate(manifests) if not x]
    size = {i: manifests[i].get("replicas", len(p99)) for i in good}
    return min(good, key=size.get)
