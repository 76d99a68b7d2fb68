"""The same work done by one thread, by coroutines, by threads and by processes; and who holds Python's global lock.

In a module and not in a notebook, because processes must be able to import what they run.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from itertools import pairwise

import numpy as np

from cvprod.serving import images
from cvprod.serving.model import Model
from cvprod.serving.settings import DEFAULT_MODEL

_mine = threading.local()  # a model serves one thread at a time


def inspect(jpeg: bytes) -> int:
    """Decode one JPEG and classify it: nearly all the time is spent in C, without the global lock."""
    if not hasattr(_mine, "model"):
        _mine.model = Model.load(DEFAULT_MODEL)
    return int(_mine.model.run(images.to_tile(jpeg)[None, None])[0].argmax())


def texture(jpeg: bytes) -> int:
    """A feature of the old vision system, in plain Python: pixels brighter than their left neighbour."""
    tile = images.to_tile(jpeg)[::3].tolist()
    return sum(b > a for row in tile for a, b in pairwise(row))


WAYS = ("one thread", "asyncio", "threads", "processes")


def rate(work: Callable[[bytes], int], jpegs: Sequence[bytes], way: str, *, workers: int = 2) -> float:
    """Pictures a second, pools started and warmed beforehand. Raises ValueError for an unknown way."""
    if way == "one thread":
        return _timed(lambda: [work(jpeg) for jpeg in jpegs], len(jpegs))
    if way == "asyncio":

        async def every() -> list[int]:
            async def one(jpeg: bytes) -> int:
                return work(jpeg)

            return await asyncio.gather(*map(one, jpegs))

        return _timed(lambda: _in_a_loop(every), len(jpegs))
    if way == "threads":
        pool, chunk = ThreadPoolExecutor(workers), 1
    elif way == "processes":
        # Not fork: a copy of a process that has threads (OpenMP, gRPC, Jupyter) may inherit a lock that nobody frees.
        context = multiprocessing.get_context("spawn")
        pool, chunk = ProcessPoolExecutor(workers, mp_context=context), 8
    else:
        raise ValueError(f"unknown way {way!r}; there are {', '.join(WAYS)}.")
    with pool:
        list(pool.map(work, list(jpegs[:8]) * workers, chunksize=1))
        return _timed(lambda: list(pool.map(work, jpegs, chunksize=chunk)), len(jpegs))


def _timed(do: Callable[[], object], n: int) -> float:
    start = time.perf_counter()
    do()
    return n / (time.perf_counter() - start)


def _in_a_loop(main: Callable) -> None:
    # A notebook's own event loop runs in this thread already, and asyncio allows one a thread.
    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    thread.join()


def lock_share(fn: Callable[[], object], *, seconds: float = 0.25) -> float:
    """Share of the global lock that `fn` takes from a thread of plain Python beside it: 0 none, 0.5 its fair half.

    Counted by how much slower a counting loop gets, alone and beside in turns, the median of five pairs; on a machine
    with one core everything takes its half.
    """
    stop, go = threading.Event(), threading.Event()

    def repeat() -> None:
        while not stop.is_set():
            if go.wait(0.1):
                fn()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    shares = []
    try:
        for _ in range(5):
            alone = _count(seconds / 5)
            go.set()
            time.sleep(0.005)
            shares.append(1 - _count(seconds / 5) / alone)
            go.clear()
            time.sleep(0.005)
    finally:
        stop.set()
        go.set()
        thread.join()
    return float(np.clip(np.median(shares), 0, 1))


def _count(seconds: float) -> float:
    n, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        n += 1
    return n / seconds


async def heartbeat(work: Callable[[], object], *, in_thread: bool, seconds: float = 0.6, every: float = 0.005):
    """How late a coroutine that wakes up every few milliseconds is, in seconds, while `work` is done over and over.

    in_thread: whether the loop hands the work to a thread or does it itself.
    """
    late, end = [], time.perf_counter() + seconds

    async def busy() -> None:
        while time.perf_counter() < end:
            if in_thread:
                await asyncio.to_thread(work)
            else:
                work()
            await asyncio.sleep(0)

    task = asyncio.create_task(busy())
    while (due := time.perf_counter() + every) < end:
        await asyncio.sleep(every)
        late.append(time.perf_counter() - due)
    await task
    return np.array(late)
