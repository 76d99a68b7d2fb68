"""Load on an HTTP server from a process of its own: closed loop (N callers) or open loop (requests at given times).

    seen = measure("http://127.0.0.1:8000/v1/inspect", [jpeg], due=load.schedule(500, 3), connections=64)
    seen.accepted.latency.p(99), (seen.status == 429).mean()

wrk is thinner still, but has no open loop.
"""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import numpy as np

from cvprod.traffic.load import Load


@dataclass(frozen=True, eq=False)
class Answers:
    """What came back, request by request: `load` with its times, `status` int (n,), 0 where no answer came at all."""

    load: Load
    status: np.ndarray

    def only(self, chosen: np.ndarray) -> Load:
        """The load of some of the requests, by a boolean (n,)."""
        return Load(self.load.due[chosen], self.load.started[chosen], self.load.done[chosen])

    @property
    def accepted(self) -> Load:
        """Requests that were answered with 2xx."""
        return self.only(self.status // 100 == 2)


def requests(address: str, bodies: Sequence[bytes], headers: dict[str, str]) -> list[bytes]:
    """The bytes of a POST for each body."""
    place = urlsplit(address)
    lines = [f"POST {place.path or '/'} HTTP/1.1", f"Host: {place.netloc}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join(lines)
    return [f"{head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body for body in bodies]


class Running:
    """A load test that goes on in a process of its own; `result` waits for its end."""

    def __init__(self, job: dict) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "cvprod.traffic.http_client"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self._process.stdin.write(pickle.dumps(job))
        self._process.stdin.close()
        self._process.stdin = None
        self._process.stdout.readline()  # it has connected, and begins

    def result(self) -> Answers:
        """Raises RuntimeError where the client failed: nobody listened, or answers stopped coming."""
        out, said = self._process.communicate()
        if self._process.returncode:
            why = (said.decode(errors="replace").strip().splitlines() or ["the client was ended"])[-1]
            raise RuntimeError(f"the load test failed ({why}): is the server there?")
        due, started, done, status = (np.array(x) for x in json.loads(out))
        return Answers(Load(due, started, done), status.astype(int))


def start(
    address: str, bodies: Sequence[bytes], *, connections: int, due: np.ndarray | None = None, seconds: float = 0.0,
    headers: dict[str, str] | None = None,
) -> Running:  # fmt: skip
    """Begin to send `bodies`, over and over: at the times `due` (open loop), or for `seconds` without pause."""
    if connections < 1 or (due is None) == (seconds <= 0) or not bodies:
        raise ValueError("a load test needs connections, bodies, and either due times or some seconds.")
    if due is not None and (len(due) == 0 or (np.diff(due) < 0).any()):
        raise ValueError("due must be ascending times, at least one.")
    wire = requests(address, bodies, {"Content-Type": "image/jpeg"} | (headers or {}))
    times = None if due is None else [float(t) for t in due]
    return Running({"address": address, "wire": wire, "due": times, "seconds": seconds, "connections": connections})


def measure(address: str, bodies: Sequence[bytes], **options) -> Answers:
    """`start`, and wait for the result."""
    return start(address, bodies, **options).result()
