"""Callers that try again, and what that does to a service: one open loop, and every try over real HTTP.

    seen = run(port, jpeg, due, Policy(layers=(3, 3), try_seconds=0.1, deadline=0.2))
    seen.sent.size / seen.due.size, seen.in_time(0.2).mean()

Budgets: B. Beyer and others, "Site Reliability Engineering", 2016, chapter 21, "Handling Overload". Why a storm may
outlive its cause: N. Bronson and others, "Metastable Failures in Distributed Systems", HotOS 2021.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Policy:
    """How a call is repeated.

    layers: tries of each layer, the outermost first. A call through layers of 3 and 3 is sent up to nine times.
    try_seconds: after which a try is given up, and its connection closed.
    deadline: seconds after which nobody wants the answer any more. No try begins after it where `strict`.
    pause: most seconds between two tries, by chance; 0 tries again at once.
    budget: tries beyond the first that each call pays in for all others (None: no limit). `saved` is what is there at
        the start, and the most that is kept.
    strict: the service is told how long its answer is of use (X-Timeout-Ms), and no try begins after the deadline.
    """

    layers: tuple[int, ...]
    try_seconds: float
    deadline: float
    pause: float = 0.0
    budget: float | None = None
    saved: float = 5.0
    strict: bool = False

    def __post_init__(self) -> None:
        if not self.layers or min(self.layers) < 1 or self.try_seconds <= 0 or self.deadline <= 0 or self.pause < 0:
            raise ValueError("a policy needs layers of at least one try each, and times above 0 (pause: from 0).")


@dataclass(frozen=True, eq=False)
class Seen:
    """What became of n calls and their m tries; seconds from the start, float64, ascending `due` and `sent`.

    due, done: (n,) when a call was due, and when its caller had an answer or gave up; answered: bool (n,), by 200.
    sent: (m,) when each try was sent.
    """

    due: np.ndarray
    done: np.ndarray
    answered: np.ndarray
    sent: np.ndarray

    def in_time(self, deadline: float) -> np.ndarray:
        """bool (n,): answered within `deadline` seconds after it was due."""
        return self.answered & (self.done - self.due <= deadline)


def run(port: int, picture: bytes, due: np.ndarray, policy: Policy, *, seed: int = 0) -> Seen:
    """Send `picture` to POST /v1/inspect on this machine at the times `due` (seconds, ascending), whatever became of
    earlier calls. In a thread of its own, so that it also works where an event loop is running."""
    due = np.asarray(due, float)
    if due.size == 0 or due[0] < 0 or (np.diff(due) < 0).any():
        raise ValueError("due must be ascending times from 0, at least one.")
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(_Callers(port, picture, policy, seed).run(due))).result()


@contextlib.contextmanager
def stopped(pids: Sequence[int], after: float, seconds: float) -> Iterator[None]:
    """Within it the processes stand still for `seconds`, beginning in `after` seconds; they always go on in the end."""

    def tell(number: int) -> None:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    timers = [threading.Timer(after, tell, [signal.SIGSTOP]), threading.Timer(after + seconds, tell, [signal.SIGCONT])]
    try:
        for timer in timers:
            timer.start()
        yield
    finally:
        for timer in timers:
            timer.cancel()
            timer.join()
        tell(signal.SIGCONT)


class _Try(asyncio.Protocol):
    """A connection; one request at a time. `answer` becomes the status, 0 where the connection ended without one."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[int] | None = None
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        if found:
            lower = head.lower()
            length = lower.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]
            if length and len(body) >= int(length):
                self.buffer = b""
                self._say(int(head.split(b" ", 2)[1]))

    def connection_lost(self, exc: Exception | None) -> None:
        self._say(0)

    def _say(self, status: int) -> None:
        if self.answer is not None and not self.answer.done():
            self.answer.set_result(status)


class _Callers:
    def __init__(self, port: int, picture: bytes, policy: Policy, seed: int) -> None:
        self.port, self.policy, self.random = port, policy, np.random.default_rng(seed)
        self.tokens = policy.saved
        self.idle: list[_Try] = []
        self.sent: list[float] = []
        lines = ["POST /v1/inspect HTTP/1.1", "Host: service", "Content-Type: image/jpeg"]
        lines.append(f"Content-Length: {len(picture)}")
        if policy.strict:
            lines.append(f"X-Timeout-Ms: {max(1, round(policy.try_seconds * 1e3))}")
        self.wire = "\r\n".join([*lines, "", ""]).encode() + picture

    async def run(self, due: np.ndarray) -> Seen:
        self.origin = time.perf_counter()
        calls = []
        for moment in due:
            await asyncio.sleep(max(0.0, moment - self.now()))
            calls.append(asyncio.create_task(self.call(moment)))
        ended = await asyncio.gather(*calls)
        for one in self.idle:
            one.transport.close()
        done, answered = (np.array(column) for column in zip(*ended, strict=True))
        return Seen(due, done, answered.astype(bool), np.sort(self.sent))

    def now(self) -> float:
        return time.perf_counter() - self.origin

    async def call(self, due: float) -> tuple[float, bool]:
        if self.policy.budget is not None:
            self.tokens = min(self.policy.saved, self.tokens + self.policy.budget)
        answered = await self.layer(0, due)
        return self.now(), answered

    async def layer(self, depth: int, due: float) -> bool:
        """One layer of callers: the next one below, again and again, until it answers."""
        if depth == len(self.policy.layers):
            return await self.attempt()
        for number in range(self.policy.layers[depth]):
            if number and not await self.may_repeat(due):
                return False
            if await self.layer(depth + 1, due):
                return True
        return False

    async def may_repeat(self, due: float) -> bool:
        if self.policy.budget is not None:
            if self.tokens < 1:
                return False
            self.tokens -= 1
        if self.policy.pause:
            await asyncio.sleep(self.random.uniform(0, self.policy.pause))
        return not self.policy.strict or self.now() < due + self.policy.deadline

    async def attempt(self) -> bool:
        """One try, from the connection to the last byte."""
        self.sent.append(self.now())
        one: _Try | None = None
        try:
            async with asyncio.timeout(self.policy.try_seconds):
                while self.idle and (one is None or one.transport.is_closing()):
                    one = self.idle.pop()
                if one is None or one.transport.is_closing():
                    loop = asyncio.get_running_loop()
                    _, one = await loop.create_connection(_Try, "127.0.0.1", self.port)
                one.answer = asyncio.get_running_loop().create_future()
                one.transport.write(self.wire)
                status = await one.answer
        except (OSError, TimeoutError):
            if one is not None:
                one.transport.abort()
            return False
        if status:
            self.idle.append(one)
        return status == 200
