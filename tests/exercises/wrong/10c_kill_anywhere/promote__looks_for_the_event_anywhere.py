"""Finds drift-1 in the notice of drift-11."""


def promote(world, event, number):
    if any(post.startswith(event["id"]) for post in world.read_posts()):
        return
    world.set_alias(number)
    world.post(f"{event['id']}: version {number} is live")
