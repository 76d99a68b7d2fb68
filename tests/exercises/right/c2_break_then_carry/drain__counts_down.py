async def drain(pod):
    pod.ready = False
    left = pod.grace_s - 0.8
    for pause in [pod.poll_s] * pod.misses + [0.25] * 1000:
        if pause == 0.25 and not pod.in_flight:
            break
        if left < pause:
            break
        left -= pause
        await asyncio.sleep(pause)
    pod.close()
