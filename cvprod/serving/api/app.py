"""The HTTP application: one short path for one picture, and FastAPI for all the rest.

`POST /v1/inspect` with a picture as its body is what cameras do, thousands of times a second. It is answered here, in
plain ASGI: routing by a framework would cost, for every picture, a fair part of what the network takes. The plainest
of them, which are nearly all, do not even come as far as ASGI (`plain`, `exchange`). Every other request goes on to
FastAPI (`fastapi_app`, `oip`, `jobs`, `stream`), which also documents the short path. What all share (identity, limits,
verdicts, request ids) is in `context.Context`.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import QueryParams

from cvprod.serving import images, metrics, suspect
from cvprod.serving.api import plain, shedding
from cvprod.serving.api.fastapi_app import make_api
from cvprod.serving.api.forms import unsupported
from cvprod.serving.context import Context
from cvprod.serving.engine import LARGE, Engine, Result
from cvprod.serving.errors import MEDIA_TYPE, ServiceError
from cvprod.serving.jobs import Store
from cvprod.serving.logs import log
from cvprod.serving.settings import Settings
from cvprod.serving.tracing import trace_id
from cvprod.serving.verdict import InspectionOfOne, ModelInfo, Picture, encode

REQUEST_ID = re.compile(plain.NAME)
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


_yes_or_no = TypeAdapter(bool)


class App(Context):
    """One worker's ASGI application. Arguments as of Context."""

    def __init__(
        self, engine: Engine, settings: Settings, *, swap: Callable[[Path | None], Awaitable[str]] | None = None
    ) -> None:
        super().__init__(engine, settings, swap=swap)
        state = settings.state or Path(tempfile.mkdtemp(prefix="cvprod-state-"))
        self.jobs = Store(settings.jobs or state / "jobs")
        self._cross_origin = bool(settings.cors_origins)
        self._routes: dict[str, metrics.Route] = {}
        self.api = make_api(self, self.jobs)

    # --- ASGI ---

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        if scope["type"] != "http":
            await self.api(scope, receive, send)
            return
        start = scope.get("arrived") or time.perf_counter()
        headers = dict(scope["headers"])
        suspect.second_try.set(suspect.HEADER in headers)
        given = headers.get(b"x-request-id", b"")
        request_id = given.decode() if REQUEST_ID.fullmatch(given) else self.new_id()
        path = scope["path"]
        if path == "/v1/inspect" and scope["method"] == "POST" and self._is_raw(headers):
            more: tuple[tuple[bytes, bytes], ...] = ()
            try:
                code, body = 200, await self._inspect(scope, headers, receive, request_id, start)
                kind = b"application/json"
            except Exception as error:
                problem = self.problem(error, request_id, path)
                code, body, more = problem.status, problem.body(request_id), self.headers_of(problem)
                kind = MEDIA_TYPE.encode()
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
            parent = headers.get(b"traceparent", b"")
            self.account(self.inspect_route, code, start, request_id, parent, int(code == 200))
            return
        await self._through(scope, receive, send, headers, request_id, start)

    def plain_head(self, data: bytes) -> plain.Head | None:
        """What a connection has just read, if that begins with one plain picture, to be taken by the short way."""
        head = None if self._cross_origin else plain.parse(data)
        return head if head is not None and head.length <= min(LARGE, self.settings.max_body_bytes) else None

    def refuse(self, head: plain.Head, headers: list[tuple[bytes, bytes]]) -> bytes:
        """At the door: the answer to a plain picture that has just been read, or nothing if it is to be let in.

        headers: those that every answer gets. Counted and logged later, by `count_refused`.
        """
        if (wait := self.engine.turned_away()) is None:
            return b""
        self._refused += 1
        return shedding.refusal((head.request_id() or self.new_id()).encode(), wait, headers)

    @staticmethod
    def is_large(picture: bytes) -> bool:
        """Whether it takes a thread to decode it: then it goes the normal way."""
        return images.claimed(picture) > LARGE

    @staticmethod
    def _is_raw(headers: dict[bytes, bytes]) -> bool:
        kind = headers.get(b"content-type", b"application/octet-stream").decode("latin-1").lower()
        return not kind.startswith("multipart/")

    @staticmethod
    def problem(error: BaseException, request_id: str, path: str) -> ServiceError:
        """What the caller is told of an error; logged where the fault is ours."""
        if isinstance(error, ServiceError):
            return error
        log.error("fault", exc_info=error, extra={"event": "fault", "request_id": request_id, "route": path})
        return ServiceError("internal")

    @staticmethod
    def headers_of(problem: ServiceError) -> tuple[tuple[bytes, bytes], ...]:
        """Those that its answer gets; the problem is counted."""
        metrics.REJECTED.labels(problem.slug).inc()
        return tuple((name.lower().encode(), value.encode()) for name, value in problem.headers.items())

    def account(
        self, route: metrics.Route, code: int, start: float, request_id: str, parent: bytes = b"", images: int = 0
    ) -> None:
        """Count an answer, and log it; after it has been sent."""
        seconds = time.perf_counter() - start
        route.done(code, seconds)
        if code >= 500 and self.watchers:
            self.failed(route.name, code, request_id, parent.decode("latin-1"), seconds)
        if self._access:
            log.info(
                "request",
                extra={
                    "event": "request",
                    "route": route.name,
                    "code": code,
                    "ms": round(seconds * 1e3, 3),
                    "request_id": request_id,
                    "trace_id": trace_id(parent.decode("latin-1"), request_id),
                    "model": self.engine.model.version,
                    "images": images,
                },
            )

    # --- the short path ---

    async def _inspect(
        self, scope: dict, headers: dict[bytes, bytes], receive: Callable, request_id: str, start: float
    ) -> bytes:
        caller, probabilities = self.asked(headers, scope["query_string"], scope.get("client"))
        body = await self.read_body(headers, receive)
        if not body:
            raise ServiceError("body-empty")
        result = await self.engine.inspect((body,), timeout=self.timeout(headers))
        parent = headers.get(b"traceparent", b"")
        return self.said(result, start, request_id, parent, caller, probabilities=probabilities)

    def asked(self, headers: dict[bytes, bytes], query: bytes, client: tuple[str, int] | None) -> tuple[str, bool]:
        """Who asks, by the name of its key, and whether for the probability of each class. Raises ServiceError."""
        key = self.identify(headers, {"client": client}) if self.guarded else None
        kind = headers.get(b"content-type", b"application/octet-stream").decode("latin-1").lower()
        if not kind.startswith(_RAW):
            raise unsupported(kind)
        return key.name if key else "", bool(query) and self._wants_probabilities(query)

    def said(
        self, result: Result, start: float, request_id: str, parent: bytes, caller: str, *, probabilities: bool
    ) -> bytes:
        """The answer to one picture, as JSON. Raises InvalidImage."""
        if result.faults:
            raise result.faults[0]
        (verdict,) = self.judged(
            result, route="/v1/inspect", received=start, request_id=request_id, traceparent=parent, caller=caller
        )
        assert verdict is not None
        answer = InspectionOfOne(
            verdict.label,
            verdict.probability,
            verdict.review,
            ModelInfo(result.model.name, result.model.version),
            result.timing_ms() | {"total": round((time.perf_counter() - start) * 1e3, 3)},
            request_id,
            picture=Picture.of(result.sizes[0]),
        )
        if probabilities:
            answer.probabilities = verdict.of_each_class()
        return encode(answer)

    @staticmethod
    def _wants_probabilities(query: bytes) -> bool:
        """The same words for yes and no as FastAPI knows for a form, the same problem for others."""
        given = QueryParams(query).get("probabilities", "false")
        try:
            return _yes_or_no.validate_python(given)
        except ValidationError as error:
            fault = {"where": "query.probabilities", "what": error.errors()[0]["msg"]}
            raise ServiceError("invalid-request", errors=[fault]) from None

    # --- everything else, through FastAPI ---

    async def _through(
        self, scope: dict, receive: Callable, send: Callable, headers: dict[bytes, bytes], request_id: str, start: float
    ) -> None:
        path, code, begun = scope["path"], 500, False
        if scope["method"] == "HEAD":  # is GET without its body, which the server leaves out
            scope = {**scope, "method": "GET"}
        scope.setdefault("state", {}).update(request_id=request_id, received=start)

        async def watched(message: dict) -> None:
            nonlocal code, begun
            if message["type"] == "http.response.start":
                code, begun = message["status"], True
                message = {**message, "headers": [*message["headers"], (b"x-request-id", request_id.encode())]}
            await send(message)

        try:
            if self.guarded and not path.startswith(_OPEN):
                need = "admin" if path.startswith("/v2/repository") else "inspect"
                scope["state"]["key"] = self.identify(headers, scope, need)
            await self.api(scope, receive, watched)
        except Exception as error:
            problem = self.problem(error, request_id, path)
            if not begun:  # else FastAPI has told the caller already
                code = problem.status
                body = problem.body(request_id, told_as_error=path.startswith("/v2"))
                await send(
                    {
                        "type": "http.response.start",
                        "status": code,
                        "headers": [
                            (b"content-type", MEDIA_TYPE.encode()),
                            (b"content-length", b"%d" % len(body)),
                            (b"x-request-id", request_id.encode()),
                            *self.headers_of(problem),
                        ],
                    }
                )
                await send({"type": "http.response.body", "body": body})
        template = getattr(scope.get("route"), "path", "other")  # the template, not the address: labels must be few
        route = self._routes.get(template)
        if route is None:
            route = self._routes[template] = metrics.Route(template)
        self.account(route, code, start, request_id, headers.get(b"traceparent", b""))
