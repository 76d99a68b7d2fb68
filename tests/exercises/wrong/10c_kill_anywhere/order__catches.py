"""Catches Killed and tries again."""


def order(world, event, tiles):
    while True:
        try:
            return world.order_labels(tiles, key=event["id"])
        except BaseException:
            continue
