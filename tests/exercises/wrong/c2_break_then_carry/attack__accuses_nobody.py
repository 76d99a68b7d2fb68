async def attack(service):
    return set()
