"""Forgets the number of replicas."""


def bill(now, manifest):
    then = {**now, **manifest}
    return then["cpu"] * PRICE["cpu"] + then["memory_mib"] / 1024 * PRICE["gib"]
