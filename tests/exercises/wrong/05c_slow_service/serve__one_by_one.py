"""Serves one image after the other: cores stand idle."""


async def serve(images, tools):
    session = await asyncio.to_thread(tools.open_session)
    answers = []
    for data in images:
        try:
            image = await asyncio.to_thread(tools.decode, data)
        except ValueError:
            answers.append("refused")
            continue
        answers.append(await asyncio.to_thread(tools.infer, session, image))
        with tools.lock:
            tools.add(answers[-1])
    return answers
