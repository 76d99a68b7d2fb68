"""Load on a callable, with a real clock: closed loop, open loop, and a stall to tell them apart."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cvprod.measure import Latency


@dataclass(frozen=True, eq=False)
class Load:
    """What a load test saw, call by call in the order of their start; float64 arrays of shape (n,), in seconds.

    due: when a call should have started; started, done: when it did and when its answer was there, all counted
    from the start of the test. In a closed loop due equals started: nobody else was waiting.
    """

    due: np.ndarray
    started: np.ndarray
    done: np.ndarray

    @property
    def latency(self) -> Latency:
        """What a user waits: from when the call was due."""
        return Latency(self.done - self.due)

    @property
    def service(self) -> Latency:
        """What the callee took: from when the call really started. Blind to the queue before it."""
        return Latency(self.done - self.started)

    @property
    def rate(self) -> float:
        """Calls finished per second of the test."""
        return self.done.size / float(self.done.max())


def closed_loop(fn: Callable[[], object], *, seconds: float, clients: int = 1, think: float = 0.0) -> Load:
    """`clients` threads call `fn` one call after the other, each pausing `think` seconds after an answer.

    The next call waits for the answer to the last one. So a slow callee is asked less often, exactly while it is
    slow: coordinated omission (the term is Gil Tene's, "How NOT to measure latency", 2015).
    """
    _check(seconds=seconds, workers=clients)
    rows: list[tuple[float, float]] = []
    origin = time.perf_counter()

    def client() -> None:
        while (started := time.perf_counter() - origin) < seconds:
            fn()
            rows.append((started, time.perf_counter() - origin))
            if think:
                time.sleep(think)

    _run(client, clients)
    started, done = np.array(sorted(rows)).T
    return Load(started, started, done)


def schedule(rate: float, seconds: float, *, poisson: bool = False, seed: int = 0) -> np.ndarray:
    """Times at which calls are due, in seconds, ascending: evenly spaced, as a camera's, or a Poisson stream.

    There are int(rate * seconds) of them, at least one, all within `seconds`, whatever the seed. Of a Poisson stream
    with a known number of arrivals the times are that many uniform ones, in order (W. Feller, "An Introduction to
    Probability Theory and Its Applications", volume 2, section I.4).
    """
    if rate <= 0 or seconds <= 0 or rate * seconds < 1:
        raise ValueError(f"a schedule needs rate > 0 and at least one call, not {rate}/s for {seconds} s.")
    n = int(rate * seconds)
    if not poisson:
        return np.arange(n) / rate
    return np.sort(np.random.default_rng(seed).random(n) * seconds)


def calls(n: int, rate: float, *, poisson: bool = False, seed: int = 0) -> np.ndarray:
    """Times at which n calls are due, however long that takes at `rate` calls a second; see `schedule`."""
    if n < 1 or not 0 < rate < math.inf:
        raise ValueError(f"a schedule needs n >= 1 calls and a rate > 0, not {n} at {rate}/s.")
    if not poisson:
        return np.arange(n) / rate
    return np.sort(np.random.default_rng(seed).random(n) * n / rate)


def open_loop(fn: Callable[[], object], due: np.ndarray, *, workers: int = 1) -> Load:
    """Start `fn` at the times `due` (seconds, ascending), whatever became of earlier calls.

    `workers` threads take the calls in order; a call that finds all of them busy waits, and its waiting counts.
    """
    due = np.asarray(due, dtype=np.float64)
    _check(seconds=1, workers=workers)
    if due.size == 0 or (np.diff(due) < 0).any() or due[0] < 0:
        raise ValueError("due must be ascending times from 0, with at least one.")
    rows = np.empty((due.size, 2))
    tickets = iter(range(due.size))
    lock = threading.Lock()
    origin = time.perf_counter()

    def worker() -> None:
        while True:
            with lock:
                ticket = next(tickets, None)
            if ticket is None:
                return
            sleep_until(origin + due[ticket])
            started = time.perf_counter() - origin
            fn()
            rows[ticket] = started, time.perf_counter() - origin

    _run(worker, workers)
    return Load(due, rows[:, 0], rows[:, 1])


def stalling(fn: Callable[[], object], *, after: float, seconds: float) -> Callable[[], object]:
    """`fn` with one fault planted: the first call later than `after` seconds takes `seconds` longer.

    It stands for what really happens once in a while: a model reload, a full disk, a neighbour on the machine. The
    clock starts with the first call.
    """
    state: dict[str, float] = {}
    lock = threading.Lock()

    def call() -> object:
        now = time.perf_counter()
        with lock:
            first = state.setdefault("first", now)
            stall = now - first >= after and "stalled" not in state
            if stall:
                state["stalled"] = now
        if stall:
            time.sleep(seconds)
        return fn()

    return call


def sleep_until(moment: float) -> None:
    """Until time.perf_counter() is `moment`."""
    # sleep() wakes late by up to a scheduler tick; the last half millisecond is spun away for an honest start.
    while (left := moment - time.perf_counter()) > 0:
        if left > 0.001:
            time.sleep(left - 0.0005)


def _check(*, seconds: float, workers: int) -> None:
    if seconds <= 0 or workers < 1:
        raise ValueError(f"load needs seconds > 0 and at least one client, not {seconds} and {workers}.")


def _run(target: Callable[[], None], n: int) -> None:
    """Run `target` in n threads; the first exception of any of them is raised here, after all have ended."""
    errors: list[BaseException] = []

    def guarded() -> None:
        try:
            target()
        except BaseException as error:
            errors.append(error)

    crew = [threading.Thread(target=guarded, daemon=True) for _ in range(n)]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()
    if errors:
        raise errors[0]
