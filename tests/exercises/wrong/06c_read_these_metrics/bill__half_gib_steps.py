"""Bills memory in steps of half a GiB."""


def bill(now, manifest):
    then = {**now, **manifest}
    return then["replicas"] * (then["cpu"] * PRICE["cpu"] + then["memory_mib"] // 512 / 2 * PRICE["gib"])
