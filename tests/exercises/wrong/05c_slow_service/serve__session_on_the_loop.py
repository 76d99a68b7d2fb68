"""Opens the session on the event loop."""


async def serve(images, tools):
    loop, session = asyncio.get_running_loop(), tools.open_session()

    def one(data):
        try:
            answer = tools.infer(session, tools.decode(data))
        except ValueError:
            return "refused"
        with tools.lock:
            tools.add(answer)
        return answer

    with ThreadPoolExecutor(tools.cores) as pool:
        return await asyncio.gather(*(loop.run_in_executor(pool, one, data) for data in images))
