"""Another event with the same file is taken for this one."""


def register(world, event, sha256):
    found = world.find_versions(sha256=sha256)
    return found[0]["number"] if found else world.create_version(event=event["id"], sha256=sha256)
