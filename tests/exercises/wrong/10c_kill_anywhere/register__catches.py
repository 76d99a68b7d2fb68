"""Catches Killed and tries again."""


def register(world, event, sha256):
    try:
        f = world.find_versions(event=event["id"])
        return f[0]["number"] if f else world.create_version(event=event["id"], sha256=sha256)
    except BaseException:
        return register(world, event, sha256)
