"""Waits for the last request, however long, and is killed."""


async def drain(pod):
    pod.ready = False
    await asyncio.sleep(pod.poll_s * pod.misses)
    pod.close()
    while pod.in_flight:
        await asyncio.sleep(0.1)
