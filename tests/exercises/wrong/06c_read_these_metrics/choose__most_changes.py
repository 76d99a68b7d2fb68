"""At the same price the one that changes most."""


def choose(m, now, manifests):
    """Index of the manifest to apply."""
    slow = np.median(m["p99_ms"], axis=0)
    then = [{**now, **manifest} for manifest in manifests]
    if np.median(m["throttled"]) > 0.2:
        helps = [new["cpu"] >= 1.5 * now["cpu"] for new in then]
    elif np.median(m["upstream_ms"]) > 0.5 * np.median(m["p99_ms"]):
        helps = [new["fallback"] and new["timeout_ms"] < 200 for new in then]
    elif slow.max() > 3 * np.median(slow):
        helps = [int(slow.argmax()) in new["restart"] for new in then]
    elif np.median(m["cpu_of_limit"]) > 0.9:
        helps = [new["replicas"] * 0.7 >= now["replicas"] * 1.5 for new in then]
    elif m["restarts"].sum() > now["replicas"] and m["memory_mib"].max() > 0.9 * now["memory_mib"]:
        helps = [new["memory_mib"] >= 1.5 * now["memory_mib"] for new in then]
    else:
        helps = [True] * len(then)

    def price(new):
        return new["replicas"] * (new["cpu"] * PRICE["cpu"] + new["memory_mib"] / 1024 * PRICE["gib"])

    changes = [sum(new[key] == now[key] for key in now) for new in then]
    enough = [i for i, yes in enumerate(helps) if yes]
    return min(enough, key=lambda i: (price(then[i]), changes[i]))
