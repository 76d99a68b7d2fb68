"""Dynamic batching in one process: what has arrived runs together, and nothing waits for company.

The engine lives in the event loop's own thread. What has arrived is decoded; what has arrived meanwhile is read and
decoded, too; and when nothing more has come, or the batch is full, the network runs over all of it, which takes little
more than half as long as one by one. While it runs, what arrives piles up in the sockets, and is the next batch. Under
light load a batch is one image and nobody waits; under heavy load batches fill by themselves. There is no timer to
tune, no second thread to hand over to and no lock: with one core for each process, a thread would only add its
switches.

Admission is by time, not by count: a request is refused at once when those before it would use up the latency budget.
Under overload that is not enough. While a batch computes, requests lie in their sockets, and before the next batch can
begin all that have come are read, most of them to be refused. So when far more are refused than taken, that time
counts too: since the loop looked before (no request can have waited longer), and reading the others, as long as last
time.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from cvprod.surface import to_input

from . import images, suspect
from .errors import DeadlineExceeded, Draining, InvalidImage, Overloaded, ServiceError
from .model import Model
from .tiling import Grid, cut

#: Pixels, or bytes, of all pictures of a request. With more they are decoded in a thread: they would hold up the loop
#: for longer than a batch takes.
LARGE = 640 * 480
#: Share of the latency budget that may be used up before a request's own turn is over; the rest is for the network and
#: for a machine that stutters.
SHARE = 0.6
#: Overload is heavy when so many are refused for each one taken; and over when it was not so for some time.
HEAVY = 1.5
STRICT_SECONDS = 0.1


@dataclass
class Result:
    """What one request gets: arrays over its images, and where its time went, in milliseconds."""

    logits: np.ndarray
    probabilities: np.ndarray
    model: Model
    queue_ms: float
    decode_ms: float
    infer_ms: float
    batch: int
    faults: dict[int, InvalidImage]
    tiles: np.ndarray
    times: tuple[float, float, float, float]  # by time.perf_counter: queued, begun, decoding from, and all decoded
    sizes: list[tuple[int, int]] = field(default_factory=list)  # height, width of each picture, upright; no tensors

    def timing_ms(self) -> dict[str, float]:
        """What an answer says of the time that each stage took."""
        return {
            "queue": round(self.queue_ms, 3),
            "decode": round(self.decode_ms, 3),
            "infer": round(self.infer_ms, 3),
        }

    def stages(self) -> dict[str, tuple[float, float]]:
        """Start and end of each stage, by time.perf_counter. The pictures of a large request are decoded before they
        are queued, all others in their turn."""
        queued, begun, decoding, decoded = self.times
        return {
            "queue": (queued, begun),
            "decode": (decoding, decoding + self.decode_ms / 1e3),
            "infer": (decoded, decoded + self.infer_ms / 1e3),
        }


class Reply(Protocol):
    """Whoever waits for a result: an asyncio.Future, or what has these of its methods."""

    def done(self) -> bool: ...

    def set_result(self, result: Result) -> None: ...

    def set_exception(self, error: BaseException) -> None: ...


@dataclass(eq=False, slots=True)
class _Item:
    payload: Sequence[bytes] | np.ndarray
    n: int
    future: Reply
    arrived: float
    deadline: float
    tiles: np.ndarray | None = None
    decode_ms: float = 0.0
    faults: dict[int, InvalidImage] = field(default_factory=dict)
    begun: float = 0.0  # when its turn came
    decoding: float = 0.0  # since when
    sizes: list[tuple[int, int]] = field(default_factory=list)


class Engine:
    """A bounded queue in front of one model. All methods belong to the event loop's thread.

    Args:
        model: what to run; `swap` changes it between two batches, so that no batch sees two.
        budget: latency to keep, in seconds.
        observe: called after every batch with (images, seconds waited by the oldest, decode seconds, run seconds).
        cores: that the threads of a large request may use, beside the loop's own thread; none where there is but one.
    """

    def __init__(
        self,
        model: Model,
        *,
        budget: float = 0.01,
        max_batch: int = 8,
        max_queue: int = 256,
        max_pixels: int = images.MAX_PIXELS,
        observe: Callable[[int, float, float, float], None] | None = None,
        cores: frozenset[int] = frozenset(),
    ) -> None:
        self.model = model
        self.budget = budget
        self.max_batch = max_batch
        self.max_queue = max_queue
        self.max_pixels = max_pixels
        self.draining = False
        self._observe = observe or (lambda *_: None)
        self._queue: deque[_Item] = deque()
        self._waiting = 0
        self._batch: list[_Item] = []  # decoded, while the loop looks whether more has come
        self._count = 0  # pictures in it
        self._in_threads = 0
        self._scheduled = False
        self._threads: dict[str, ThreadPoolExecutor] = {}
        self._cores = cores
        # Reading: from when the loop found that something has come until a batch begins.
        self._since = self._previous = self._reading = 0.0
        self._heard, self._fresh = False, True
        self._taken = self._refused = 0.0  # requests, of the last batches, each counting less than the next
        self._strict = 0.0  # until when time in the socket counts
        self._cost = self._first_cost()  # seconds an image takes, decoded and run: learnt as we go

    def _first_cost(self) -> float:
        images.warm_up()
        tiles, best = np.zeros((1, 1, 96, 96), np.uint8), float("inf")
        for _ in range(5):
            start = time.perf_counter()
            self.model.run(tiles)
            best = min(best, time.perf_counter() - start)
        return best + 3e-4

    # what callers use

    async def inspect(self, pictures: Sequence[bytes], *, timeout: float | None = None) -> Result:
        """Decode and classify encoded pictures. A bad one among them is in `faults` by its index; ignore its row.

        Raises Overloaded, DeadlineExceeded, Draining; ServiceError (worker-killed), see `_try_out`.
        """
        if suspect.second_try.get():
            await self._try_out(pictures, timeout)
        large = [max(images.claimed(data), len(data)) for data in pictures]  # two kilobytes may say 4096 x 4096
        if sum(large) <= LARGE:
            return await self._enqueue(pictures, len(pictures), timeout)
        decoding = functools.partial(self._decode, pictures)
        return await self._aside(decoding, len(pictures), timeout)

    async def inspect_frame(
        self, data: bytes, grid_over: Callable[[int, int], Grid], expected: int, *, timeout: float | None = None
    ) -> tuple[Result, Grid]:
        """Decode one frame, cut it into tiles and classify them, all of them in one turn.

        Args:
            grid_over: makes the grid of an upright frame of (height, width), or raises ServiceError; asked before
                anything is decoded.
            expected: how many tiles to count the frame as until it has been cut.

        Raises as `inspect` does, InvalidImage, and what grid_over raises.
        """
        if suspect.second_try.get():
            await self._try_out([data], timeout)
        grids: list[Grid] = []

        def prepare(deadline: float) -> tuple[np.ndarray, dict[int, InvalidImage], list[tuple[int, int]]]:
            if time.perf_counter() > deadline:
                raise DeadlineExceeded
            grid = grid_over(*images.probe(data, max_pixels=self.max_pixels).upright)
            grids.append(grid)
            return cut(images.decode(data, max_pixels=self.max_pixels), grid), {}, [(grid.height, grid.width)]

        return await self._aside(prepare, expected, timeout), grids[0]

    async def _aside(self, prepare: Callable[..., tuple], n: int, timeout: float | None) -> Result:
        """Make tiles in the thread, called with the deadline, then queue them; n: how many there will be, or so."""
        self._admit(n)
        start = time.perf_counter()
        self._in_threads += n
        try:
            deadline = start + timeout if timeout else float("inf")
            tiles, faults, sizes = await asyncio.get_running_loop().run_in_executor(
                self._pool("decode"), prepare, deadline
            )
        finally:
            self._in_threads -= n
        spent = time.perf_counter() - start
        left = max(timeout - spent, 1e-9) if timeout else None
        return await self._enqueue(tiles, len(tiles), left, faults, spent * 1e3, sizes)

    async def infer(self, tiles: np.ndarray, *, timeout: float | None = None) -> Result:
        """Classify tensors: uint8 or float32 (n, 1, 96, 96). Raises as `inspect` does."""
        if suspect.second_try.get():
            await self._try_out(tiles, timeout)
        return await self._enqueue(tiles, len(tiles), timeout)

    def submit(self, picture: bytes, reply: Reply, *, timeout: float | None = None) -> None:
        """Queue one picture that `turned_away` has let in; not a large one, see LARGE. Raises Draining.

        reply: told what became of it, from within the batch: what it does then, the batch waits for.
        """
        if self.draining:
            raise Draining
        self._taken += 1
        now = time.perf_counter()
        self._put(_Item((picture,), 1, reply, now, now + timeout if timeout else float("inf")))

    def touch(self) -> None:
        """Something has come in. To be called for whatever is read, before it is understood."""
        if self._fresh:  # the loop had looked and found nothing, so this has not been waiting
            self._since = self._previous = time.perf_counter()
            self._reading, self._fresh = 0.0, False
            asyncio.get_running_loop().call_soon(self._looked)
        elif not self._since:
            self._since = time.perf_counter()
        self._heard = True

    def turned_away(self) -> float | None:
        """At the door: seconds until there may be room for the picture that has just been read; None lets it in.

        To be called after `touch`.
        """
        ahead = self._waiting + self._in_threads
        if self.draining or not self._too_long(1, ahead):
            return None
        self._refused += 1
        return ahead * self._cost

    def _looked(self) -> None:
        """Once in every turn of a busy loop: has it looked at all sockets, found nothing, and nothing left to do?"""
        if self._heard or self._scheduled:
            self._heard = False
            asyncio.get_running_loop().call_soon(self._looked)
        else:
            self._fresh, self._since = True, 0.0

    def swap(self, model: Model) -> None:
        """From the next batch on."""
        self.model = model

    @property
    def waiting(self) -> int:
        """Images that the network has not begun with."""
        return self._waiting

    @property
    def idle(self) -> bool:
        return not self._queue and not self._batch and not self._in_threads

    # how it works

    async def _try_out(self, payload: Sequence[bytes] | np.ndarray, timeout: float | None) -> None:
        """A request that comes a second time. Raises ServiceError (worker-killed) where it kills whoever looks."""
        self._admit(len(payload))
        now, future = time.perf_counter(), asyncio.get_running_loop().create_future()

        def work() -> None:
            if "CUDAExecutionProvider" not in self.model.session.get_providers():
                self._observe, self._cores = lambda *_: None, frozenset()  # this copy has no other thread
                item = _Item(payload, len(payload), future, now, float("inf"))
                self._open(item)
                self._compute([item])
            elif not isinstance(payload, np.ndarray):  # a CUDA context survives no fork
                self._decode(payload)

        try:
            alive = await suspect.survives(work, timeout or 60.0)
        except TimeoutError:
            raise DeadlineExceeded from None
        if not alive:
            raise ServiceError("worker-killed")

    def _admit(self, n: int) -> None:
        if self.draining:
            raise Draining
        self.touch()
        ahead = self._waiting + self._in_threads
        if self._too_long(n, ahead):
            self._refused += 1
            raise Overloaded(ahead * self._cost)
        self._taken += 1

    def _too_long(self, n: int, ahead: int) -> bool:
        """Would n more pictures, behind those that are ahead, wait longer than the budget allows?"""
        spent, now = ahead * self._cost, time.perf_counter()
        if now < self._strict:
            spent += n * self._cost + now - self._previous + max(0.0, self._reading - (now - self._since))
        return ahead > 0 and (ahead + n > self.max_queue or spent > SHARE * self.budget)

    def _enqueue(
        self,
        payload: Sequence[bytes] | np.ndarray,
        n: int,
        timeout: float | None,
        faults: dict[int, InvalidImage] | None = None,
        decode_ms: float = 0.0,
        sizes: list[tuple[int, int]] | None = None,
    ) -> asyncio.Future:
        if faults is None:
            self._admit(n)
        now = time.perf_counter()
        item = _Item(
            payload,
            n,
            asyncio.get_running_loop().create_future(),
            now,
            now + timeout if timeout else float("inf"),
            decode_ms=decode_ms,
            faults=faults or {},
            decoding=now - decode_ms / 1e3,
            sizes=sizes or [],
        )
        self._put(item)
        return item.future

    def _put(self, item: _Item) -> None:
        self._queue.append(item)
        self._waiting += item.n
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._run)

    def _run(self) -> None:
        """One turn of the loop: decode what has come. While that lasts, more comes, which the loop reads before the
        next turn; the network runs when nothing has, or the batch is full."""
        now = time.perf_counter()
        if self._since:
            self._reading, self._previous, self._since = now - self._since, self._since, 0.0
        found = []
        while self._queue and (not self._batch or self._count + self._queue[0].n <= self.max_batch):
            item = self._queue.popleft()
            if item.future.done() or now > item.deadline:  # the caller is gone, or will be
                self._waiting -= item.n
                if not item.future.done():
                    item.future.set_exception(DeadlineExceeded())
                continue
            found.append(item)
            self._batch.append(item)
            self._count += item.n
        for item in found:
            self._open(item)
        loop = asyncio.get_running_loop()
        if found and self._count < self.max_batch:
            loop.call_soon(self._run)
            return
        batch, self._batch, self._count = self._batch, [], 0
        if self._queue:
            loop.call_soon(self._run)
        else:
            self._scheduled = False
        self._waiting -= sum(item.n for item in batch)
        if self._refused > HEAVY * self._taken:
            self._strict = now + STRICT_SECONDS
        self._taken *= 0.8
        self._refused *= 0.8
        batch = [item for item in batch if not item.future.done()]
        if batch:
            try:
                self._compute(batch)
            except Exception as error:  # a fault of ours: these callers hear of it, the next batch is another story
                for item in batch:
                    if not item.future.done():
                        item.future.set_exception(error)

    def _open(self, item: _Item) -> None:
        """Its pictures become tiles."""
        item.begun = time.perf_counter()
        if isinstance(item.payload, np.ndarray):
            item.tiles = item.payload
            return
        item.decoding = item.begun
        try:
            item.tiles, item.faults, item.sizes = self._decode(item.payload)
        except Exception as error:  # as above
            item.future.set_exception(error)
        item.decode_ms = (time.perf_counter() - item.decoding) * 1e3

    def _compute(self, batch: list[_Item]) -> None:
        begun = batch[0].begun
        model = self.model  # one for the whole batch
        for item in [item for item in batch if item.faults and len(item.faults) == item.n]:
            batch.remove(item)  # nothing in it to look at
            nothing = np.full((item.n, len(model.card.classes)), np.nan, np.float32)
            times = (item.arrived, item.begun, item.decoding, time.perf_counter())
            item.future.set_result(
                Result(
                    nothing,
                    nothing,
                    model,
                    (item.begun - item.arrived) * 1e3,
                    item.decode_ms,
                    0.0,
                    0,
                    item.faults,
                    item.tiles,
                    times,
                    item.sizes,
                )
            )
        if not batch:
            return
        tiles = batch[0].tiles if len(batch) == 1 else np.concatenate([item.tiles for item in batch])
        decoded = time.perf_counter()
        total = len(tiles)
        logits = model.run(tiles) if total <= self.max_batch else self._run_many(model, tiles)
        probabilities = model.probabilities(logits)
        done = time.perf_counter()
        self._cost += 0.1 * ((done - begun) / total - self._cost)
        first = 0
        infer_ms = (done - decoded) * 1e3
        for item in batch:
            rows = slice(first, first + item.n)
            first += item.n
            if not item.future.done():
                item.future.set_result(
                    Result(
                        logits[rows],
                        probabilities[rows],
                        model,
                        (item.begun - item.arrived) * 1e3,
                        item.decode_ms,
                        infer_ms,
                        total,
                        item.faults,
                        item.tiles,
                        (item.arrived, item.begun, item.decoding, decoded),
                        item.sizes,
                    )
                )
        self._observe(total, begun - batch[0].arrived, decoded - begun, done - decoded)

    def _run_many(self, model: Model, tiles: np.ndarray) -> np.ndarray:
        """Logits of more tiles than a batch has. A second thread takes a part of them where a core is idle; where none
        is, it comes to nothing, and costs nothing."""
        parts = [tiles[i : i + self.max_batch] for i in range(0, len(tiles), self.max_batch)]
        left, found = deque(range(len(parts))), [np.empty(0)] * len(parts)

        def work() -> None:
            with contextlib.suppress(IndexError):
                while True:
                    i = left.popleft()
                    found[i] = model.run(parts[i])

        other = self._pool("tiles").submit(work) if len(self._cores) > 1 else None
        work()
        if other is not None and not other.cancel():
            other.result()
        return np.concatenate(found)

    def _decode(
        self, pictures: Sequence[bytes], deadline: float = float("inf")
    ) -> tuple[np.ndarray, dict[int, InvalidImage], list[tuple[int, int]]]:
        tiles, faults, sizes = np.zeros((len(pictures), 1, 96, 96), np.uint8), {}, [(0, 0)] * len(pictures)
        for i, data in enumerate(pictures):
            if time.perf_counter() > deadline:  # nobody would read the answer, and others wait for this thread
                raise DeadlineExceeded
            try:
                pixels = images.decode(data, max_pixels=self.max_pixels)
                tiles[i, 0], sizes[i] = to_input(pixels), pixels.shape
            except InvalidImage as fault:
                faults[i] = fault
        return tiles, faults, sizes

    def _pool(self, name: str) -> ThreadPoolExecutor:
        """One thread of this name, on whichever core is idle: the loop's own thread is bound to one."""
        if name not in self._threads:
            free = functools.partial(_free, self._cores)
            self._threads[name] = ThreadPoolExecutor(1, thread_name_prefix=name, initializer=free)
        return self._threads[name]

    def close(self) -> None:
        """Let the threads go."""
        for pool in self._threads.values():
            pool.shutdown(wait=False, cancel_futures=True)


def _free(cores: frozenset[int]) -> None:
    if cores and hasattr(os, "sched_setaffinity"):
        with contextlib.suppress(OSError):  # they have been taken from us
            os.sched_setaffinity(0, cores)
