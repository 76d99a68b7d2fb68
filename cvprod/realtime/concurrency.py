"""The same work done by one thread, by coroutines, by threads and by processes; and who holds Python's global lock.

In a module and not in a notebook, because processes must be able to import what they run.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from itertools import pairwise

import numpy as np

from cvprod import measure
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


def rates(
    works: Mapping[str, Callable[[bytes], int]], jpegs: Sequence[bytes], *, workers: int = 2, turns: int = 5
) -> dict[str, dict[str, np.ndarray]]:
    """Pictures a second by one thread, by coroutines, by threads and by processes: work -> way -> (turns,).

    In each turn all ways follow each other (`measure.compare`, whose untimed calls start and warm the pools), so that a
    machine which gets faster or slower meanwhile does so for all of them: compare rates of the same turn.
    Raises ValueError without pictures or turns; what a work raises ends the measurement.
    """
    if not len(jpegs) or turns < 1:
        raise ValueError(f"rates needs pictures and at least one turn, not {len(jpegs)} and {turns}.")

    async def every(work: Callable[[bytes], int]) -> list[int]:
        async def one(jpeg: bytes) -> int:
            return work(jpeg)

        return await asyncio.gather(*map(one, jpegs))

    # Not fork: a copy of a process that has threads (OpenMP, gRPC, Jupyter) may inherit a lock that nobody frees.
    spawn = multiprocessing.get_context("spawn")
    found = {}
    # One thread for the event loop: a notebook has one of its own in this thread, and asyncio allows one a thread.
    with (
        ThreadPoolExecutor(1) as loop,
        ThreadPoolExecutor(workers) as threads,
        ProcessPoolExecutor(workers, mp_context=spawn) as processes,
    ):
        for name, work in works.items():
            ways = {
                "one thread": lambda work=work: [work(jpeg) for jpeg in jpegs],
                "asyncio": lambda work=work: loop.submit(lambda: asyncio.run(every(work))).result(),
                "threads": lambda work=work: list(threads.map(work, jpegs)),
                "processes": lambda work=work: list(processes.map(work, jpegs, chunksize=8)),
            }
            timed = measure.compare(ways, warmup=0, repeats=turns, rounds=turns)
            found[name] = {way: len(jpegs) / took.samples for way, took in timed.items()}
    return found


def lock_shares(fns: Mapping[str, Callable[[], object]], *, seconds: float = 0.05, turns: int = 5) -> dict[str, float]:
    """Share of the global lock that each function takes from a thread of plain Python beside it: 0 none, 0.5 half.

    Counted by how much slower a counting loop gets beside the function than alone, for `seconds` [s] each; the median
    of `turns`, and in each turn all functions follow each other. Where the machine has one core, or a neighbour has
    the other one, everything takes its half. What a function raises ends the measurement.
    """
    if not fns or turns < 1 or seconds <= 0:
        raise ValueError(
            f"lock_shares needs functions, turns >= 1 and seconds > 0, not {len(fns)}, {turns}, {seconds}."
        )
    stop = threading.Event()

    def repeat(fn: Callable[[], object]) -> None:
        while not stop.is_set():
            fn()

    shares: dict[str, list[float]] = {name: [] for name in fns}
    with ThreadPoolExecutor(1) as other:
        for _ in range(turns):
            for name, fn in fns.items():
                alone = _count(seconds)
                stop.clear()
                busy = other.submit(repeat, fn)
                try:
                    time.sleep(0.005)  # it has begun
                    shares[name].append(1 - _count(seconds) / alone)
                finally:
                    stop.set()
                busy.result()
    return {name: float(np.clip(np.median(found), 0, 1)) for name, found in shares.items()}


def _count(seconds: float) -> float:
    n, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        n += 1
    return n / seconds


async def heartbeat(work: Callable[[], object], *, in_thread: bool, beats: int = 40, every: float = 0.005):
    """How late a coroutine that wants to wake up every few milliseconds is, while `work` is done over and over.

    in_thread: whether the loop hands the work to a thread or does it itself. beats: how often it wakes up; a number and
    not a time, so that slow work is judged by as many. Returns seconds, float64 (beats,).
    """
    late, over = [], asyncio.Event()

    async def busy() -> None:
        while not over.is_set():
            if in_thread:
                await asyncio.to_thread(work)
            else:
                work()
            await asyncio.sleep(0)

    task = asyncio.create_task(busy())
    try:
        for _ in range(beats):
            due = time.perf_counter() + every
            await asyncio.sleep(every)
            late.append(time.perf_counter() - due)
            if task.done():
                break  # what the work raised is raised below
    finally:
        over.set()
        await task
    return np.array(late)


def lateness(work: Callable[[], object], *, in_thread: bool, beats: int = 40) -> float:
    """The median of `heartbeat` in milliseconds, in an event loop of its own: a notebook's is in use already."""
    with ThreadPoolExecutor(1) as own:
        late = own.submit(lambda: asyncio.run(heartbeat(work, in_thread=in_thread, beats=beats))).result()
    return float(np.median(late)) * 1e3
