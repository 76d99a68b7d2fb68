"""Catches Killed and tries again."""


def promote(world, event, number):
    try:
        t = f"{event['id']}: version {number} is live"
        if t not in world.read_posts():
            world.set_alias(number)
            world.post(t)
    except BaseException:
        promote(world, event, number)
