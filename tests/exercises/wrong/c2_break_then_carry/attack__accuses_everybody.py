async def attack(service):
    return {"lost", "swapped", "leaks"}
