"""The gates as a service: pairs go in, evidence comes out for Prometheus, and a controller asks for permission.

    POST /pairs          JSON lines {"id", "stable": {"status", "label", "seconds"}, "canary": {...}, "truth": null}
    POST /labels         JSON lines {"id", "truth"}
    GET  /metrics        cvprod_rollout_evidence and what belongs to it
    POST /gate/begin     a new canary: its evidence starts from nothing (Flagger's pre-rollout hook)
    POST /gate/promote   200 when every gate passes, else 409 with the reasons (confirm-promotion)
    POST /gate/rollback  200 when a gate stops it, else 409 (rollback)

A hook's body may carry Flagger's "checksum", which names the canary. Evidence about one is never used for another.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeVar

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cvprod.rollout.gates import Answer, Decision, Gate, Pair, together

T = TypeVar("T", bound=BaseModel)
MOST_BYTES, MOST_WAITING = 2_000_000, 10_000
#: How long, and for how much, a caller that was refused is read on.
LINGER_SECONDS, LINGER_BYTES = 5.0, 16 * MOST_BYTES


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    status: int = Field(ge=0, le=599)
    label: str = Field("", max_length=64)
    seconds: float = Field(float("nan"), allow_inf_nan=True)


class _Pair(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: str = Field(min_length=1, max_length=128)
    stable: _Answer
    canary: _Answer
    truth: str | None = Field(None, max_length=64)


class _Label(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: str = Field(min_length=1, max_length=128)
    truth: str = Field(max_length=64)


class Bench:
    """The gates of the canary at hand. Safe for several threads.

    gates: makes a fresh set, for every new canary.
    """

    def __init__(self, gates: Callable[[], Sequence[Gate]]) -> None:
        self._make, self._lock = gates, threading.Lock()
        self.canary: str | None = None
        self._begin("")
        self.canary = None

    def _begin(self, canary: str) -> None:
        self.canary, self._gates, self._pairs = canary, list(self._make()), OrderedDict()

    def begin(self, canary: str) -> None:
        """Start from nothing, unless this canary has begun already: hooks are called again and again."""
        with self._lock:
            if canary != self.canary:
                self._begin(canary)

    def add(self, pairs: Sequence[_Pair]) -> None:
        """New pairs. One that was sent before (a retry) counts once."""
        with self._lock:
            for given in pairs:
                if given.id in self._pairs:
                    continue
                stable, canary = (Answer(a.status, a.label, a.seconds) for a in (given.stable, given.canary))
                pair = self._pairs[given.id] = Pair(stable, canary, given.truth)
                for gate in self._gates:
                    gate.add(pair)
                while len(self._pairs) > MOST_WAITING:
                    self._pairs.popitem(last=False)  # it waits on in its gate, and holds it

    def label(self, labels: Sequence[_Label]) -> int:
        """Truths that have come; returns how many belonged to a pair. What is known is not changed any more."""
        with self._lock:
            known = 0
            for given in labels:
                if (pair := self._pairs.get(given.id)) is not None:
                    pair.truth = given.truth if pair.truth is None else pair.truth
                    known += 1
            return known

    def decision(self, canary: str | None = None) -> tuple[Decision, str]:
        """What the gates say about this canary, and why. Evidence about another one is none."""
        with self._lock:
            if canary is not None and canary != self.canary:
                return Decision.HOLD, f"the evidence is about {self.canary or 'nobody'}, not about {canary}"
            readings = self._readings()
            decision = together(readings, {gate.name for gate in self._gates})
            return decision, "; ".join(f"{r.gate}: {r.why}" for r in readings)

    def _readings(self):
        for gate in self._gates:
            gate.refresh()
        return [gate.reading for gate in self._gates]

    def collect(self) -> Iterator[Metric]:
        """For prometheus_client: computed when it is scraped, so that silence is seen."""
        with self._lock:
            readings, gates = self._readings(), list(self._gates)
        evidence = GaugeMetricFamily(
            "cvprod_rollout_evidence", "Evidence of a gate for a claim about the canary; 1 is none.",
            labels=["gate", "claim"],
        )  # fmt: skip
        needed = GaugeMetricFamily(
            "cvprod_rollout_evidence_needed", "Evidence at which a gate decides.", labels=["gate", "claim"]
        )
        pairs = GaugeMetricFamily("cvprod_rollout_pairs", "Pairs judged by a gate.", labels=["gate"])
        waiting = GaugeMetricFamily("cvprod_rollout_waiting", "Pairs that cannot be judged yet.", labels=["gate"])
        says = GaugeMetricFamily("cvprod_rollout_decision", "1 for what a gate says.", labels=["gate", "decision"])
        for reading, gate in zip(readings, gates, strict=True):
            evidence.add_metric([reading.gate, "worse"], reading.worse)
            evidence.add_metric([reading.gate, "harmless"], reading.harmless)
            needed.add_metric([reading.gate, "worse"], 1 / gate.alpha)
            needed.add_metric([reading.gate, "harmless"], 1 / gate.beta)
            pairs.add_metric([reading.gate], reading.pairs)
            waiting.add_metric([reading.gate], reading.waiting)
            for decision in Decision:
                says.add_metric([reading.gate, decision.value], float(reading.decision is decision))
        # Before the first pair there is no evidence, and none is shown: a controller has to see that it is missing.
        if any(reading.pairs or reading.waiting for reading in readings):
            yield evidence
            yield needed
        yield from (pairs, waiting, says)


def make_server(bench: Bench, host: str = "127.0.0.1", port: int = 0) -> ThreadingHTTPServer:
    """An HTTP server that is not running yet; `serve_forever` runs it. Its address is `server_address`.

    Raises OSError, or OverflowError for a port that is none.
    """
    registry = CollectorRegistry()
    registry.register(bench)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10

        def do_GET(self) -> None:
            # A body of a GET is not read. What is in it must not be taken for the next request.
            self.close_connection |= "Content-Length" in self.headers or "Transfer-Encoding" in self.headers
            if self.path == "/metrics":
                self._say(200, generate_latest(registry), CONTENT_TYPE_LATEST)
            elif self.path == "/healthz":
                self._say(200, b"alive\n")
            else:
                self._say(404, b"There is /metrics and /healthz.\n")

        def do_POST(self) -> None:
            lengths = self.headers.get_all("Content-Length", [])
            length = lengths[0] if len(lengths) == 1 else ""
            if not (length.isascii() and length.isdigit()) or "Transfer-Encoding" in self.headers:
                return self._refuse(411, "Send a Content-Length.\n")
            if len(length) > 20 or int(length) > MOST_BYTES:
                return self._refuse(413, f"Send a Content-Length of at most {MOST_BYTES}.\n")
            body = self.rfile.read(int(length))
            if len(body) < int(length):  # the caller broke off: nobody waits for an answer
                self.close_connection = True
                return None
            try:
                if self.path == "/pairs":
                    bench.add(_lines(_Pair, body))
                    self._say(200, b"")
                elif self.path == "/labels":
                    found = bench.label(_lines(_Label, body))
                    self._say(200, f"{found}\n".encode())
                elif self.path in ("/gate/begin", "/gate/promote", "/gate/rollback"):
                    self._hook(self.path.rpartition("/")[2], _checksum(body))
                else:
                    self._say(404, b"There are /pairs, /labels, /gate/begin, /gate/promote and /gate/rollback.\n")
            except ValidationError as error:
                first = error.errors()[0]
                self._say(422, f"{'.'.join(map(str, first['loc'])) or 'line'}: {first['msg']}\n".encode())
            except RecursionError:
                self._say(422, b"That JSON is nested too deeply.\n")
            except ValueError as error:
                self._say(422, f"{error}\n".encode())

        def _hook(self, name: str, checksum: str | None) -> None:
            if name == "begin":
                if checksum is None:
                    raise ValueError("begin needs the canary's checksum.")
                bench.begin(checksum)
                self._say(200, b"")
                return
            decision, why = bench.decision(checksum)
            wanted = Decision.PASS if name == "promote" else Decision.STOP
            self._say(200 if decision is wanted else 409, f"{decision}: {why}\n".encode())

        def _refuse(self, code: int, text: str) -> None:
            """Answer before the body is read, then drop it: closing a socket with unread bytes in it sends a reset,
            which can overtake the answer."""
            self.close_connection = True
            until, dropped = time.monotonic() + LINGER_SECONDS, 0
            with contextlib.suppress(OSError):  # the caller has gone
                self._say(code, text.encode())
                self.connection.shutdown(socket.SHUT_WR)
                while dropped < LINGER_BYTES and (left := until - time.monotonic()) > 0:
                    self.connection.settimeout(left)
                    if not (data := self.connection.recv(65536)):
                        break
                    dropped += len(data)

        def _say(self, code: int, body: bytes, kind: str = "text/plain; charset=utf-8") -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Decisions are in the metrics and the controller's events; a line for every pair helps nobody."""

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

    return Server((host, port), Handler)


def _lines(kind: type[T], body: bytes) -> list[T]:
    """JSON lines. All are read before the first one counts. Raises ValidationError."""
    return [kind.model_validate_json(line) for line in body.splitlines() if line.strip()]


def _checksum(body: bytes) -> str | None:
    """Of Flagger's payload; None where there is none. Raises ValueError for what is no JSON object."""
    if not body.strip():
        return None
    given = json.loads(body)
    if not isinstance(given, dict):
        raise ValueError("a hook's body is a JSON object.")
    checksum = given.get("checksum")
    return None if checksum is None else str(checksum)
