"""Calls a request lost before the promise has run out."""


async def attack(service):
    broken, size, fresh = set(), service.max_batch, iter(range(1, 100_000))

    async def one(image, patience=0.25):
        try:
            answer = await asyncio.wait_for(service.ask(image), patience)
        except TimeoutError:
            if patience >= 0.25:
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
    await burst(some(service.places))
    for _ in range(4):
        await asyncio.gather(burst(some(size)), burst(some(3), patience=0.0004), burst(some(2 * size)))
    for _ in range(2 * service.places):
        await one(next(fresh), patience=0.001)
        await asyncio.sleep(0.04)
    await asyncio.sleep(1.5)
    if await one(next(fresh)) == "full":
        broken.add("leaks")
    return broken
