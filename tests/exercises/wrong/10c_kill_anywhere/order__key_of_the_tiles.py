"""Two events that want the same tiles would be one order."""


def order(world, event, tiles):
    return world.order_labels(tiles, key=str(tiles))
