"""What every interface of one worker shares: the engine, who may ask, limits, the verdict, and who watches.

The routes (HTTP, gRPC, WebSocket, jobs) take this and nothing above it.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from . import auth, metrics
from .attach import attach
from .engine import Engine, Result
from .errors import ServiceError
from .logs import log
from .model import Model, ModelError
from .settings import Settings
from .verdict import Verdict, judge


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """One answered request, as a watcher sees it. Pictures that could not be read are not in it.

    Attributes:
        route: /v1/inspect, /v1/frames, /v1/stream, /v1/jobs, /v2/models/{name}/infer or grpc/ModelInfer.
        traceparent: the caller's header of that name (W3C Trace Context), or "".
        caller: name of the key, or "".
        received, answered: seconds since 1970; `stages` has start and end of queue, decode and infer in the same.
        rows: place of each picture in the request.
        verdicts: one for each picture, before any filter.
        tiles: uint8 (n, 1, 96, 96), what the network saw. Not to be changed: copy what is kept.
    """

    request_id: str
    route: str
    traceparent: str
    caller: str
    model_name: str
    model_version: str
    received: float
    answered: float
    stages: dict[str, tuple[float, float]]
    rows: tuple[int, ...]
    verdicts: list[Verdict]
    tiles: np.ndarray


class Watcher(Protocol):
    """See `attach`."""

    def seen(self, observation: Observation) -> None: ...


def everything(verdicts: list[Verdict]) -> list[Verdict]:
    """The filter that hides nothing."""
    return verdicts


class Context:
    """One worker's shared part.

    Args:
        engine: what computes.
        settings: see there.
        swap: loads the model of a card into every worker, all or none, and returns its version; None where there is one
            process only, which then swaps by itself.
    """

    def __init__(
        self, engine: Engine, settings: Settings, *, swap: Callable[[Path | None], Awaitable[str]] | None = None
    ) -> None:
        self.engine = engine
        self.settings = settings
        self.swap = swap or self._swap_here
        self.ready = True
        self.keys = auth.Keys(settings.api_keys)
        self.limiter = auth.Limiter(settings.rate_limit / settings.workers)
        self.guarded = not self.keys.open or settings.rate_limit > 0
        self.watchers: list[Watcher] = []
        self.filter: Callable[[list[Verdict]], list[Verdict]] = everything
        self.inspect_route = metrics.Route("/v1/inspect")
        self._refused = 0  # at the door, and not yet counted
        self._access = settings.access_log and settings.log_level in ("debug", "info")
        self._ids = itertools.count()
        self._prefix = os.urandom(6).hex()
        self._predicted: dict[tuple[str, str], Any] = {}
        attach(self)

    def new_id(self) -> str:
        """A request id."""
        return f"{self._prefix}-{next(self._ids):x}"

    # --- requests ---

    def identify(self, headers: dict[bytes, bytes], scope: dict, need: str = "inspect") -> auth.Key | None:
        """Who asks, and whether that is within the rate. Raises ServiceError."""
        key = self.keys.identify(headers, need)
        client = scope.get("client") or ("unknown", 0)
        self.limiter.take(key.name if key else client[0], (key.rate if key else 0.0) / self.settings.workers)
        return key

    def timeout(self, headers: dict[bytes, bytes]) -> float:
        """Seconds that the caller will wait: X-Timeout-Ms, or the service's deadline. Raises ServiceError."""
        given = headers.get(b"x-timeout-ms")
        if given is None:
            return self.settings.deadline_ms / 1e3
        try:
            value = float(given)
        except ValueError:
            value = -1.0
        if not 1 <= value < 1e7:
            raise ServiceError("malformed-request", "X-Timeout-Ms is a number of milliseconds, at least 1.")
        return value / 1e3

    async def read_body(self, headers: dict[bytes, bytes], receive: Callable, limit: int = 0) -> bytes:
        """The request's body. Raises ServiceError (body-too-large) as soon as that is known."""
        limit = limit or self.settings.max_body_bytes
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise ServiceError("encoding-unsupported", headers={"Accept-Encoding": "identity"})
        said = headers.get(b"content-length", b"")
        if said.isdigit() and int(said) > limit:
            raise ServiceError(
                "body-too-large", f"{int(said)} bytes; at most {limit}.", headers={"Connection": "close"}
            )
        parts, size, more = [], 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ServiceError("malformed-request", "The connection was closed before the request was complete.")
            parts.append(message.get("body", b""))
            size, more = size + len(parts[-1]), message.get("more_body", False)
            if size > limit:  # also of the first part: in chunks, a body says nothing of its length
                raise ServiceError("body-too-large", f"More than {limit} bytes.", headers={"Connection": "close"})
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def count_refused(self) -> None:
        """Metrics and one line of log for all that were refused at the door since the last call."""
        refused, self._refused = self._refused, 0
        if refused:
            self.inspect_route.refused(refused)
            if self._access:
                log.info(
                    "refused",
                    extra={"event": "refused", "route": self.inspect_route.name, "code": 429, "count": refused},
                )

    # --- verdicts ---

    def judged(
        self,
        result: Result,
        *,
        route: str,
        received: float,
        request_id: str = "",
        traceparent: bytes | str = b"",
        caller: str = "",
    ) -> list[Verdict | None]:
        """What may be said of each picture, None for one that could not be read; counted, and shown to the watchers.

        received: when the request began, by time.perf_counter.
        """
        rows = [i for i in range(len(result.probabilities)) if i not in result.faults] if result.faults else None
        model = result.model
        probabilities = result.probabilities if rows is None else result.probabilities[rows]
        verdicts = judge(probabilities, model.card.classes, self.settings.review_below)
        for verdict in verdicts:
            self._count(verdict, model.version)
        if self.watchers and verdicts:
            self._observe(result, rows, verdicts, route, received, request_id, traceparent, caller)
        said = self.filter(verdicts)
        if rows is None:
            return said  # type: ignore[return-value]
        found: list[Verdict | None] = [None] * len(result.probabilities)
        for row, verdict in zip(rows, said, strict=True):
            found[row] = verdict
        return found

    def judged_logits(self, result: Result, **request: Any) -> np.ndarray:
        """For the interfaces that answer with logits: float32 (n, classes); `request` as for `judged`.

        With a filter, those whose calibrated probabilities are the filtered ones: what it hides must not leave here.
        """
        if not self.watchers and self.filter is everything:
            return result.logits
        said = self.judged(result, **request)
        if self.filter is everything:
            return result.logits
        probabilities = np.stack([verdict.probabilities for verdict in said if verdict is not None])
        return np.log(np.maximum(probabilities, 1e-9)).astype(np.float32) * np.float32(result.model.card.temperature)

    def _count(self, verdict: Verdict, version: str) -> None:
        counter = self._predicted.get((verdict.label, version))
        if counter is None:
            counter = self._predicted[verdict.label, version] = metrics.PREDICTIONS.labels(verdict.label, version)
        counter.inc()
        if verdict.review:
            metrics.REVIEW.labels(version).inc()

    # --- watchers ---

    def _observe(
        self,
        result: Result,
        rows: list[int] | None,
        verdicts: list[Verdict],
        route: str,
        received: float,
        request_id: str,
        traceparent: bytes | str,
        caller: str,
    ) -> None:
        epoch = time.time() - time.perf_counter()
        tiles = result.tiles if rows is None else result.tiles[rows]
        if tiles.dtype != np.uint8:
            tiles = np.clip(np.rint(tiles), 0, 255).astype(np.uint8)
        observation = Observation(
            request_id or self.new_id(),
            route,
            traceparent.decode("latin-1") if isinstance(traceparent, bytes) else traceparent,
            caller,
            result.model.name,
            result.model.version,
            received + epoch,
            time.time(),
            {name: (start + epoch, end + epoch) for name, (start, end) in result.stages().items()},
            tuple(rows if rows is not None else range(len(verdicts))),
            verdicts,
            tiles,
        )
        asyncio.get_running_loop().call_soon(self._show, observation)  # the answer goes first

    def _show(self, observation: Observation) -> None:
        for watcher in self.watchers:
            try:
                watcher.seen(observation)
            except Exception:
                self._at_fault(watcher)

    def failed(self, route: str, code: int, request_id: str, traceparent: str, seconds: float) -> None:
        """Tell the watchers that have `failed` of an answer from 500 on."""
        for watcher in self.watchers:
            try:
                getattr(watcher, "failed", lambda *_: None)(route, code, request_id, traceparent, seconds)
            except Exception:
                self._at_fault(watcher)

    def close(self) -> None:
        """Close the watchers; what they hold in memory would be lost."""
        for watcher in self.watchers:
            try:
                getattr(watcher, "close", lambda: None)()
            except Exception:
                self._at_fault(watcher)

    @staticmethod
    def _at_fault(watcher: Watcher) -> None:
        name = type(watcher).__name__
        metrics.WATCHER_FAULTS.labels(name).inc()
        log.exception("watcher", extra={"event": "watcher-fault", "detail": name})

    # --- models ---

    async def _swap_here(self, card: Path | None) -> str:
        try:
            path = card or self.settings.model
            options = (path, self.settings.device, self.settings.model_keys)
            model = await asyncio.get_running_loop().run_in_executor(None, Model.load, *options)
        except ModelError as error:
            raise ServiceError("model-refused", str(error)) from None
        self.engine.swap(model)
        return model.version
