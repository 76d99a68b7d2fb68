"""The plant reads that the version is live, and it is not yet."""


def promote(world, event, number):
    text = f"{event['id']}: version {number} is live"
    if text not in world.read_posts():
        world.post(text)
        world.set_alias(number)
