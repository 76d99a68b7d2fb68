"""Nothing done is nothing done twice."""


def promote(world, event, number):
    world.read_posts()
