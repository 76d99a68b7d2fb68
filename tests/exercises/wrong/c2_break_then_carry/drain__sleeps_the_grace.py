"""Sleeps for the whole grace period, however soon nobody needs it."""


async def drain(pod):
    pod.ready = False
    await asyncio.sleep(pod.grace_s - 1)
    pod.close()
