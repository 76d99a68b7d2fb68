"""Counts events in place of asking for the number."""


def register(world, event, sha256):
    f = world.find_versions(event=event["id"])
    if not f:
        world.create_version(event=event["id"], sha256=sha256)
        return len({v["tags"]["event"] for v in world.versions})
    return f[0]["number"]
