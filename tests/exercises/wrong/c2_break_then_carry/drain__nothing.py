async def drain(pod):
    pod.ready = False
