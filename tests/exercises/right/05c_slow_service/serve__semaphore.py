async def serve(images, tools):
    """The loop's own pool, and a semaphore that lets only so many in."""
    session = await asyncio.to_thread(tools.open_session)
    cores = asyncio.Semaphore(tools.cores)

    def work(data):
        try:
            return tools.infer(session, tools.decode(data))
        except ValueError:
            return None

    async def one(data):
        async with cores:
            answer = await asyncio.to_thread(work, data)
        if answer is None:
            return "refused"
        with tools.lock:
            tools.add(answer)
        return answer

    return await asyncio.gather(*[one(data) for data in images])
