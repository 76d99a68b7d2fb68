"""Waits for one poll of the balancer where it needs several."""


async def drain(pod):
    start = asyncio.get_running_loop().time()
    pod.ready = False
    await asyncio.sleep(pod.poll_s)
    pod.close()
    while pod.in_flight and asyncio.get_running_loop().time() < start + pod.grace_s - 1:
        await asyncio.sleep(0.1)
