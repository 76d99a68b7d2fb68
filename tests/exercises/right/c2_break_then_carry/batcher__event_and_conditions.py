class Batcher:
    def __init__(self, network, max_batch, places):
        self.network, self.max_batch, self.places = network, max_batch, places
        self.line, self.taken, self.closing = {}, 0, False
        self.bell, self.empty, self.free = asyncio.Event(), asyncio.Event(), True
        self.empty.set()
        self.task = asyncio.ensure_future(self.work())

    async def ask(self, image):
        if self.closing or len(self.line) + self.taken >= self.places:
            raise Refused("no place")
        pixels = self.network.decode(image)
        future = asyncio.get_event_loop().create_future()
        self.line[future] = pixels
        self.empty.clear()
        self.bell.set()
        try:
            return await future
        except asyncio.CancelledError:
            self.line.pop(future, None)
            raise

    async def work(self):
        while True:
            if not self.line:
                self.empty.set()
                self.bell.clear()
                await self.bell.wait()
            batch = list(self.line.items())[: self.max_batch]
            if not batch:
                continue
            for future, _ in batch:
                del self.line[future]
            self.taken = len(batch)
            error, labels = None, [None] * len(batch)
            try:
                labels = await self.network.run([pixels for _, pixels in batch])
            except RuntimeError as failed:
                error = failed
            for (future, _), one in zip(batch, labels):
                if future.cancelled():
                    continue
                if error is None:
                    future.set_result(one)
                else:
                    future.set_exception(error)
            self.taken = 0

    async def close(self):
        self.closing = True
        await self.empty.wait()
