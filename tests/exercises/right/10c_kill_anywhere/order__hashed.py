import hashlib


def order(world, event, tiles):
    key = hashlib.sha256(f"order {event['id']}".encode()).hexdigest()
    return world.order_labels(list(tiles), key)
