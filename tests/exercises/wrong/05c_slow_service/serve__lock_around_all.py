"""Holds the lock while it decodes and infers."""


async def serve(images, tools):
    loop = asyncio.get_running_loop()

    def one(session, data):
        with tools.lock:
            try:
                answer = tools.infer(session, tools.decode(data))
            except ValueError:
                return "refused"
            tools.add(answer)
            return answer

    with ThreadPoolExecutor(tools.cores) as pool:
        session = await loop.run_in_executor(pool, tools.open_session)
        return await asyncio.gather(*(loop.run_in_executor(pool, one, session, data) for data in images))
