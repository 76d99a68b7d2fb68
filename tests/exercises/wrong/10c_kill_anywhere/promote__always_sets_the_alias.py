"""An old event that is started again moves the champion back."""


def promote(world, event, number):
    world.set_alias(number)
    text = f"{event['id']}: version {number} is live"
    if text not in world.read_posts():
        world.post(text)
