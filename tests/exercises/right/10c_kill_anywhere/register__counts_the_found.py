def register(world, event, sha256):
    for version in world.find_versions(event=event["id"]):
        return version["number"]
    return world.create_version(sha256=sha256, event=event["id"])
