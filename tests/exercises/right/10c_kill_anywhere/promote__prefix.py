def promote(world, event, number):
    mine = [post for post in world.read_posts() if post.split(":")[0] == event["id"]]
    if not mine:
        world.set_alias(number)
        world.post(f"{event['id']}: version {number} is live")
