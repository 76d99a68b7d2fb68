"""Accuses every service of everything."""


async def attack(service):
    return {"lost", "swapped", "leaks"}
