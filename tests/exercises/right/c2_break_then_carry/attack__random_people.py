async def attack(service):
    rng, broken, tasks, fresh = np.random.default_rng(1), set(), [], iter(range(1, 100_000))

    async def one(image, patience):
        try:
            answer = await asyncio.wait_for(service.ask(image), patience)
        except TimeoutError:
            if patience > PROMISE_S:
                broken.add("lost")
        except Refused:
            return True
        except ValueError:
            if image >= 0:
                broken.add("swapped")
        else:
            if answer != label(image):
                broken.add("swapped")
        return False

    for _ in range(150):
        for _ in range(
            int(rng.choice([1, 2, 3, service.max_batch, 2 * service.max_batch], p=[0.5, 0.2, 0.1, 0.1, 0.1]))
        ):
            image = -1 if rng.random() < 0.2 else next(fresh)
            tasks.append(asyncio.ensure_future(one(image, rng.choice([0.001, 0.01, 1.01, 1.01]))))
        await asyncio.sleep(float(rng.choice([0.0, 0.002, 0.01, 0.2])))
    await asyncio.gather(*tasks)
    await asyncio.gather(one(-1, 1.01))
    await asyncio.gather(one(next(fresh), 1.01))
    first = asyncio.ensure_future(one(next(fresh), 1.01))
    await asyncio.sleep(0.001)
    await asyncio.gather(first, one(next(fresh), 1.01))
    for _ in range(2 * service.places):
        await one(next(fresh), 0.0015)
        await asyncio.sleep(0.05)
    await asyncio.sleep(1.2)
    if await one(next(fresh), 1.01):
        broken.add("leaks")
    return broken
