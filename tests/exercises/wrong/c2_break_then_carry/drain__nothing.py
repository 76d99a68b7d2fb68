"""Says not ready and ends at once."""


async def drain(pod):
    pod.ready = False
