"""Decodes in the run, so that one bad image fails all of it."""


class Batcher:
    def __init__(self, network, max_batch, places):
        self.network, self.max_batch, self.places = network, max_batch, places
        self.waiting, self.running, self.worker, self.closing = deque(), 0, None, False

    async def ask(self, image):
        if self.closing or len(self.waiting) + self.running >= self.places:
            raise Refused
        item = [image, asyncio.get_running_loop().create_future()]
        self.waiting.append(item)
        if self.worker is None:
            self.worker = asyncio.get_running_loop().create_task(self.work())
        try:
            return await item[1]
        finally:
            if item in self.waiting:
                self.waiting.remove(item)

    async def work(self):
        while self.waiting:
            batch = [self.waiting.popleft() for _ in range(min(self.max_batch, len(self.waiting)))]
            self.running = len(batch)
            try:
                labels = await self.network.run([self.network.decode(image) for image, _ in batch])
                for (_, future), one in zip(batch, labels):
                    if not future.done():
                        future.set_result(one)
            except (RuntimeError, ValueError) as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
            self.running = 0
        self.worker = None

    async def close(self):
        self.closing = True
        while self.worker is not None:
            await asyncio.wait([self.worker])
