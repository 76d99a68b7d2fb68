"""Sends patient callers only, so that what those who leave take along is not seen."""


async def attack(service):
    broken, size, fresh = set(), service.max_batch, iter(range(1, 100_000))

    async def one(image, patience=1.01):
        try:
            answer = await asyncio.wait_for(service.ask(image), patience)
        except TimeoutError:
            if patience >= 1.01:
                broken.add("lost")
        except Refused:
            return "full"
        except ValueError:
            if image >= 0:
                broken.add("swapped")
        else:
            if answer != label(image):
                broken.add("swapped")

    async def burst(images, **how):
        await asyncio.gather(*(one(image, **how) for image in images))

    def some(count):
        return [next(fresh) for _ in range(count)]

    for count in range(1, 3 * size):
        await burst(some(count))
    first = asyncio.ensure_future(one(next(fresh)))
    await asyncio.sleep(0.001)
    await asyncio.gather(first, one(next(fresh)))
    for place in range(size):
        images = some(size)
        images[place] = -7
        await burst(images)
    await burst([-1])
    await burst(some(1))
    return broken
