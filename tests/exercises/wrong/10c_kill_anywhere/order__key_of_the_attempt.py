"""The key names the attempt: each start is a new order."""


def order(world, event, tiles):
    return world.order_labels(tiles, key=f"{event['id']}:{event['attempt']}")
