"""Accuses nobody."""


async def attack(service):
    return set()
