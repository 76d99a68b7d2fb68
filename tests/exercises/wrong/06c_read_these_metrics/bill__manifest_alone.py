"""Takes defaults of its own for what the manifest does not name."""


def bill(now, manifest):
    get = manifest.get
    return get("replicas", 1) * (get("cpu", 1) * PRICE["cpu"] + get("memory_mib", 1024) / 1024 * PRICE["gib"])
