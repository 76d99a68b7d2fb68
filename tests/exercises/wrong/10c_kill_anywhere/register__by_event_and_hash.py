"""Looks for event and hash: trained anew, the file has another one."""


def register(world, event, sha256):
    found = world.find_versions(event=event["id"], sha256=sha256)
    if found:
        return found[0]["number"]
    return world.create_version(event=event["id"], sha256=sha256)
