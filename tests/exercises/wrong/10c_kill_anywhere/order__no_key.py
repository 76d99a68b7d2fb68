"""Orders, and orders again."""


def order(world, event, tiles):
    return world.order_labels(tiles)
