"""Tells the plant each time."""


def promote(world, event, number):
    world.set_alias(number)
    world.post(f"{event['id']}: version {number} is live")
