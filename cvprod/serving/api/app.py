"""The HTTP application: one short path for one picture, and FastAPI for all the rest.

`POST /v1/inspect` with a picture as its body is what cameras do, thousands of times a second. It is answered here, in
plain ASGI: routing by a framework would cost, for every picture, a fair part of what the network takes. Every other
request goes on to FastAPI (`v1`, `oip`, `jobs`, `stream`), which also documents the short path. What both share
(identity, limits, problems, request ids, metrics, logs) is in `App`.
"""

from __future__ import annotations

import itertools
import os
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import QueryParams

from cvprod.serving import auth, metrics
from cvprod.serving.api import shedding
from cvprod.serving.engine import Engine, Result
from cvprod.serving.errors import MEDIA_TYPE, Draining, Overloaded, ServiceError
from cvprod.serving.logs import log
from cvprod.serving.settings import Settings

REQUEST_ID = re.compile(shedding.NAME)
_OPEN = (
    "/healthz",
    "/readyz",
    "/metrics",
    "/docs",
    "/openapi.json",
    "/problems",
    "/v2/health/live",
    "/v2/health/ready",
)
_RAW = ("image/", "application/octet-stream")


class ModelInfo(msgspec.Struct):
    name: str
    version: str


class Inspection(msgspec.Struct, omit_defaults=True):
    """The answer about one picture."""

    label: str
    probability: float
    review: bool
    model: ModelInfo
    timing_ms: dict[str, float]
    request_id: str
    probabilities: dict[str, float] = {}


_encode = msgspec.json.Encoder().encode
_yes_or_no = TypeAdapter(bool)


class App:
    """One worker's ASGI application.

    Args:
        engine: what computes.
        settings: see there.
        swap: loads the model of a card into every worker, all or none, and returns its version; None where there is one
            process only, which then swaps by itself.
    """

    def __init__(
        self, engine: Engine, settings: Settings, *, swap: Callable[[Path | None], Awaitable[str]] | None = None
    ) -> None:
        from cvprod.serving.api.fastapi_app import make_api

        self.engine = engine
        self.settings = settings
        self.swap = swap or self._swap_here
        self.ready = True
        self.keys = auth.Keys(settings.api_keys)
        self.limiter = auth.Limiter(settings.rate_limit / settings.workers)
        self._guarded = not self.keys.open or settings.rate_limit > 0
        self._ids = itertools.count()
        self._refused = 0  # at the door, and not yet counted
        self._prefix = os.urandom(6).hex()
        self._inspect_route = metrics.Route("/v1/inspect")
        self._routes: dict[str, metrics.Route] = {}
        self._predicted: dict[tuple[str, str], Any] = {}
        self._access = settings.access_log and settings.log_level in ("debug", "info")
        self.api = make_api(self)

    # --- ASGI ---

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        if scope["type"] != "http":
            await self.api(scope, receive, send)
            return
        start = time.perf_counter()
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        request_id = given.decode() if REQUEST_ID.fullmatch(given) else self._new_id()
        path = scope["path"]
        if path == "/v1/inspect" and scope["method"] == "POST" and self._is_raw(headers):
            route, images = self._inspect_route, 1
            try:
                code, body, more = 200, await self._inspect(scope, headers, receive, request_id, start), ()
                kind = b"application/json"
            except ServiceError as problem:
                code, body, kind, more = (
                    problem.status,
                    problem.body(request_id),
                    MEDIA_TYPE.encode(),
                    self._problem(problem),
                )
                images = 0
            except Exception:
                log.exception("fault", extra={"event": "fault", "request_id": request_id, "route": path})
                problem = ServiceError("internal")
                code, body, kind, more = 500, problem.body(request_id), MEDIA_TYPE.encode(), self._problem(problem)
                images = 0
            await send(
                {
                    "type": "http.response.start",
                    "status": code,
                    "headers": [
                        (b"content-type", kind),
                        (b"content-length", b"%d" % len(body)),
                        (b"x-request-id", request_id.encode()),
                        *more,
                    ],
                }
            )
            await send({"type": "http.response.body", "body": body})
            self._account(route, code, start, request_id, images)
            return
        await self._through(scope, receive, send, headers, request_id, start)

    def refuse(self, data: bytes, headers: list[tuple[bytes, bytes]]) -> bytes:
        """At the door: the answer to what a connection has just read, or nothing if it is to be let in.

        headers: those that every answer gets. Counted and logged later, by `count_refused`.
        """
        head = shedding.plain(data)
        if head is None or (wait := self.engine.turned_away()) is None:
            return b""
        self._refused += 1
        return shedding.refusal(shedding.request_id(head) or self._new_id().encode(), wait, headers)

    def count_refused(self) -> None:
        """Metrics and one line of log for all that were refused at the door since the last call."""
        refused, self._refused = self._refused, 0
        if refused:
            self._inspect_route.refused(refused)
            if self._access:
                log.info(
                    "refused",
                    extra={"event": "refused", "route": self._inspect_route.name, "code": 429, "count": refused},
                )

    def _new_id(self) -> str:
        return f"{self._prefix}-{next(self._ids):x}"

    @staticmethod
    def _is_raw(headers: dict[bytes, bytes]) -> bool:
        kind = headers.get(b"content-type", b"application/octet-stream").decode("latin-1").lower()
        return not kind.startswith("multipart/")

    @staticmethod
    def _problem(problem: ServiceError) -> tuple[tuple[bytes, bytes], ...]:
        metrics.REJECTED.labels(problem.slug).inc()
        return tuple((name.lower().encode(), value.encode()) for name, value in problem.headers.items())

    def _account(self, route: metrics.Route, code: int, start: float, request_id: str, images: int = 0) -> None:
        seconds = time.perf_counter() - start
        route.done(code, seconds)
        if self._access:
            log.info(
                "request",
                extra={
                    "event": "request",
                    "route": route.name,
                    "code": code,
                    "ms": round(seconds * 1e3, 3),
                    "request_id": request_id,
                    "model": self.engine.model.version,
                    "images": images,
                },
            )

    # --- the short path ---

    async def _inspect(
        self, scope: dict, headers: dict[bytes, bytes], receive: Callable, request_id: str, start: float
    ) -> bytes:
        if self._guarded:
            self.identify(headers, scope)
        kind = headers.get(b"content-type", b"application/octet-stream").decode("latin-1").lower()
        if not kind.startswith(_RAW):
            raise ServiceError("media-type-unsupported")
        probabilities = bool(scope["query_string"]) and self._wants_probabilities(scope["query_string"])
        body = await self.read_body(headers, receive)
        if not body:
            raise ServiceError("body-empty")
        result = await self.engine.inspect((body,), timeout=self.timeout(headers))
        if result.faults:
            raise result.faults[0]
        best = int(result.probabilities[0].argmax())
        label = result.model.card.classes[best]
        probability = round(float(result.probabilities[0, best]), 5)
        review = probability < self.settings.review_below
        self.count(label, result.model.version, review)
        answer = Inspection(
            label,
            probability,
            review,
            ModelInfo(result.model.name, result.model.version),
            {
                "queue": round(result.queue_ms, 3),
                "decode": round(result.decode_ms, 3),
                "infer": round(result.infer_ms, 3),
                "total": round((time.perf_counter() - start) * 1e3, 3),
            },
            request_id,
        )
        if probabilities:
            answer.probabilities = self.all_probabilities(result, 0)
        return _encode(answer)

    @staticmethod
    def _wants_probabilities(query: bytes) -> bool:
        """The same words for yes and no as FastAPI knows for a form, the same problem for others."""
        given = QueryParams(query).get("probabilities", "false")
        try:
            return _yes_or_no.validate_python(given)
        except ValidationError as error:
            fault = {"where": "query.probabilities", "what": error.errors()[0]["msg"]}
            raise ServiceError("invalid-request", errors=[fault]) from None

    async def read_body(self, headers: dict[bytes, bytes], receive: Callable, limit: int = 0) -> bytes:
        """The request's body. Raises ServiceError (body-too-large) as soon as that is known."""
        limit = limit or self.settings.max_body_bytes
        said = headers.get(b"content-length", b"")
        if said.isdigit() and int(said) > limit:
            raise ServiceError(
                "body-too-large", f"{int(said)} bytes; at most {limit}.", headers={"Connection": "close"}
            )
        message = await receive()
        if not message.get("more_body"):
            if message["type"] == "http.disconnect":
                raise ServiceError("malformed-request", "The connection was closed before the request was complete.")
            return message.get("body", b"")
        parts, size = [message["body"]], len(message["body"])
        while message.get("more_body"):
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ServiceError("malformed-request", "The connection was closed before the request was complete.")
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > limit:
                raise ServiceError("body-too-large", f"More than {limit} bytes.", headers={"Connection": "close"})
        return b"".join(parts)

    # --- what the routers share ---

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

    def count(self, label: str, version: str, review: bool) -> None:
        """Count a prediction."""
        counter = self._predicted.get((label, version))
        if counter is None:
            counter = self._predicted[label, version] = metrics.PREDICTIONS.labels(label, version)
        counter.inc()
        if review:
            metrics.REVIEW.labels(version).inc()

    def all_probabilities(self, result: Result, row: int) -> dict[str, float]:
        """Class name to probability."""
        return {
            name: round(float(p), 5)
            for name, p in zip(result.model.card.classes, result.probabilities[row], strict=True)
        }

    async def _swap_here(self, card: Path | None) -> str:
        import asyncio

        from cvprod.serving.model import Model, ModelError

        try:
            path = card or self.settings.model
            options = (path, self.settings.device, self.settings.model_keys)
            model = await asyncio.get_running_loop().run_in_executor(None, Model.load, *options)
        except ModelError as error:
            raise ServiceError("model-refused", str(error)) from None
        self.engine.swap(model)
        return model.version

    # --- everything else, through FastAPI ---

    async def _through(
        self, scope: dict, receive: Callable, send: Callable, headers: dict[bytes, bytes], request_id: str, start: float
    ) -> None:
        path, code, begun = scope["path"], 500, False
        scope.setdefault("state", {})["request_id"] = request_id

        async def watched(message: dict) -> None:
            nonlocal code, begun
            if message["type"] == "http.response.start":
                code, begun = message["status"], True
                message = {**message, "headers": [*message["headers"], (b"x-request-id", request_id.encode())]}
            await send(message)

        try:
            if self._guarded and not path.startswith(_OPEN):
                need = "admin" if path.startswith("/v2/repository") else "inspect"
                scope["state"]["key"] = self.identify(headers, scope, need)
            await self.api(scope, receive, watched)
        except Exception as error:
            problem = error if isinstance(error, ServiceError) else ServiceError("internal")
            if not isinstance(error, ServiceError):
                log.exception("fault", extra={"event": "fault", "request_id": request_id, "route": path})
            if not begun:  # else FastAPI has told the caller already
                code = problem.status
                body = problem.body(request_id)
                await send(
                    {
                        "type": "http.response.start",
                        "status": code,
                        "headers": [
                            (b"content-type", MEDIA_TYPE.encode()),
                            (b"content-length", b"%d" % len(body)),
                            (b"x-request-id", request_id.encode()),
                            *self._problem(problem),
                        ],
                    }
                )
                await send({"type": "http.response.body", "body": body})
        template = getattr(scope.get("route"), "path", "other")  # the template, not the address: labels must be few
        route = self._routes.get(template)
        if route is None:
            route = self._routes[template] = metrics.Route(template)
        self._account(route, code, start, request_id)


__all__ = ["App", "Draining", "Inspection", "ModelInfo", "Overloaded"]
