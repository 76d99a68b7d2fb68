"""Writes the manifest into the caller's settings."""


def bill(now, manifest):
    now.update(manifest)
    return now["replicas"] * (now["cpu"] * PRICE["cpu"] + now["memory_mib"] / 1024 * PRICE["gib"])
