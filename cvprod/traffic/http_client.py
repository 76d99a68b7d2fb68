"""The process behind `http_load`: `python -m cvprod.traffic.http_client` reads a job from its standard input.

A thin client over asyncio's protocols: it reads status and length of an answer and nothing else, so that it takes less
of the machine than the server does; and it imports little, so that it starts quickly. A job is a pickled dict: address,
wire (list of whole requests), due (times or None), seconds, connections. It prints an empty line when it begins, and at
its end one JSON list: due, started, done, status.
"""

from __future__ import annotations

import asyncio
import json
import pickle
import sys
import time
from collections import deque
from urllib.parse import urlsplit

GRACE = 60.0  # seconds that the last answers may take: half a core that also starts a replica needs more than 10


class _Caller(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, crew: _Crew) -> None:
        self.crew, self.ticket, self.buffer = crew, -1, b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport) -> None:
        self.transport = transport

    def send(self, ticket: int) -> None:
        self.ticket = ticket
        self.crew.started[ticket] = self.crew.now()
        self.transport.write(self.crew.wire[ticket % len(self.crew.wire)])

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        lower = head.lower()
        if b"\r\ncontent-length:" in lower:
            whole = len(rest) >= int(lower.split(b"\r\ncontent-length:")[1].split(b"\r\n")[0])
        else:  # chunked: the last chunk is empty
            whole = rest.endswith(b"0\r\n\r\n")
        if whole:
            self.buffer = b""
            self._finish(int(head.split(b" ", 2)[1]))

    def _finish(self, status: int) -> None:
        ticket, self.ticket = self.ticket, -1
        if ticket >= 0:
            self.crew.answered(self, ticket, status)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.transport = None
        self._finish(0)


class _Crew:
    """The connections, and who does what when."""

    def __init__(self, address: str, wire: list[bytes], due: list[float] | None, seconds: float) -> None:
        place = urlsplit(address)
        self.host, self.port, self.wire, self.due, self.seconds = place.hostname, place.port, wire, due, seconds
        n = len(due) if due is not None else 0
        self.started, self.done, self.status = [0.0] * n, [0.0] * n, [0] * n
        self.free: deque[_Caller] = deque()
        self.waiting: deque[int] = deque()
        self.left = n
        self.over = asyncio.Event()

    def now(self) -> float:
        return time.perf_counter() - self.origin

    async def run(self, connections: int) -> None:
        loop = asyncio.get_running_loop()
        callers = [(await loop.create_connection(lambda: _Caller(self), self.host, self.port))[1]
                   for _ in range(connections)]  # fmt: skip
        self.origin = time.perf_counter()
        if self.due is None:
            self.left = connections
            for caller in callers:
                self._again(caller)
        else:
            self.free.extend(callers)
            for ticket, due in enumerate(self.due):
                if (wait := due - self.now()) > 0:
                    await asyncio.sleep(wait if wait > 0.001 else 0)
                elif ticket % 16 == 0:
                    await asyncio.sleep(0)  # late already, but answers must be read
                self._give(ticket)
        try:
            await asyncio.wait_for(self.over.wait(), (self.due[-1] if self.due is not None else self.seconds) + GRACE)
        except TimeoutError:
            sys.exit(f"{self.left} answers are still missing {GRACE:.0f} s after the end")
        for caller in callers:
            if caller.transport:
                caller.transport.close()

    def _give(self, ticket: int) -> None:
        while self.free:
            caller = self.free.popleft()
            if caller.transport is not None:
                caller.send(ticket)
                return
        self.waiting.append(ticket)

    def _again(self, caller: _Caller) -> None:
        """Closed loop: the next request, or the end of this caller."""
        if self.now() < self.seconds and caller.transport is not None:
            self.started.append(0.0)
            self.done.append(0.0)
            self.status.append(0)
            caller.send(len(self.started) - 1)
            return
        self.left -= 1
        if self.left == 0:
            self.over.set()

    def answered(self, caller: _Caller, ticket: int, status: int) -> None:
        self.done[ticket], self.status[ticket] = self.now(), status
        if caller.transport is None:
            asyncio.get_running_loop().create_task(self._replace(caller))
        else:
            self._next(caller)
        if self.due is not None:
            self.left -= 1
            if self.left == 0:
                self.over.set()

    async def _replace(self, caller: _Caller) -> None:
        """A new connection for one that was cut."""
        try:
            _, made = await asyncio.get_running_loop().create_connection(lambda: _Caller(self), self.host, self.port)
        except OSError:
            made = caller
            await asyncio.sleep(0.05)
            if self.due is not None and not self.over.is_set():
                asyncio.get_running_loop().create_task(self._replace(caller))
                return
        self._next(made)

    def _next(self, caller: _Caller) -> None:
        if self.due is None:
            self._again(caller)
        elif self.waiting:
            caller.send(self.waiting.popleft())
        else:
            self.free.append(caller)


async def _work(job: dict) -> tuple[list, list, list, list]:
    crew = _Crew(job["address"], job["wire"], job["due"], job["seconds"])
    print(flush=True)
    await crew.run(job["connections"])
    due = list(job["due"]) if job["due"] is not None else crew.started
    return due, crew.started, crew.done, crew.status


if __name__ == "__main__":
    try:
        print(json.dumps(asyncio.run(_work(pickle.load(sys.stdin.buffer)))))
    except OSError as error:
        sys.exit(f"no connection: {error}")
