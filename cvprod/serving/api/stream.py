"""WebSocket /v1/stream: camera frames in, answers out, and a policy for frames that come too fast.

Each binary message is one picture; each answer is a JSON text with the frame's number, counted from 0. With `cut=true`
a picture is a frame of a line camera, and the answer has its size and the boxes of its defects as POST /v1/frames gives
them. Two policies:

    newest  (default) while one frame is looked at, only the latest to arrive is kept; the others are answered with
            {"frame": n, "dropped": true}. A camera wants to know what it sees now.
    all     every frame is answered in order; the connection is read no faster than frames are done, so the sender is
            slowed down by TCP itself.

Metrics count every frame that is answered as one request of this route, timed from the message read to the answer sent.

Close codes: 1000 done, 1003 a text message, 1009 a frame over the limit, 1008 no key, another origin or too many
requests, 1012 going down.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

import msgspec
from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from cvprod.serving import auth, frames, metrics
from cvprod.serving.context import Context
from cvprod.serving.engine import Result
from cvprod.serving.errors import Draining, ServiceError


def router(app: Context) -> APIRouter:
    """The route /v1/stream."""
    made, route = APIRouter(), metrics.Route("/v1/stream")

    @made.websocket("/v1/stream")
    async def stream(socket: WebSocket, policy: str = "newest", cut: str = "false") -> None:
        try:
            headers = dict(socket.scope["headers"])
            key = app.identify(headers, socket.scope) if app.guarded else None
            if app.engine.draining or not app.ready:
                raise Draining
        except ServiceError as problem:
            await socket.close(1012 if isinstance(problem, Draining) else 1008, problem.slug)
            return
        if not same_origin(socket, app.settings.cors_origins):
            await socket.close(1008, "this page may not: its origin is another")
            return
        if policy not in ("newest", "all"):
            await socket.close(1008, "policy is newest or all")
            return
        if cut not in ("true", "false"):
            await socket.close(1008, "cut is true or false")
            return
        await socket.accept()
        session = _Session(app, socket, route, key, newest=policy == "newest", cut=cut == "true")
        await session.run()

    return made


def same_origin(socket: WebSocket, allowed: str) -> bool:
    """Whether a page may open this stream. A browser lets every page try, and sends no key with it: without this, any
    page that is open inside the plant could feed the service. A program sends no Origin.

    allowed: origins beside the service's own, as `cors_origins`.
    """
    origin = socket.headers.get("origin")
    return (
        origin is None
        or origin.partition("://")[2] == socket.headers.get("host", "")
        or allowed.strip() == "*"
        or origin in {given.strip() for given in allowed.split(",")}
    )


class _Session:
    def __init__(
        self, app: Context, socket: WebSocket, route: metrics.Route, key: auth.Key | None, *, newest: bool, cut: bool
    ) -> None:
        self.app, self.socket, self.route, self.newest, self.cut = app, socket, route, newest, cut
        self._caller = key.name if key else ""
        self._traceparent = socket.headers.get("traceparent", "")
        self.frames: asyncio.Queue[tuple[int, bytes, float] | None] = asyncio.Queue(1)

    async def run(self) -> None:
        reader = asyncio.create_task(self._read())
        writer = asyncio.create_task(self._answer())
        try:
            done, _ = await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
            if reader in done and not reader.exception():
                await writer  # what was taken is still answered
        finally:
            for task in (reader, writer):
                task.cancel()
            for task in (reader, writer):
                with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
                    await task  # the other side is gone: nobody is left to tell

    async def _read(self) -> None:
        number = 0
        while True:
            message = await self.socket.receive()
            arrived = time.perf_counter()
            if message["type"] == "websocket.disconnect":
                await self.frames.put(None)
                return
            data = message.get("bytes")
            if data is None:
                await self.socket.close(1003, "send pictures as binary messages")
                return
            if len(data) > self.app.settings.max_body_bytes:
                await self.socket.close(1009, "body-too-large")
                return
            if self.newest and self.frames.full():
                skipped = self.frames.get_nowait()
                if skipped is not None:
                    metrics.REJECTED.labels("frame-dropped").inc()
                    await self._send({"frame": skipped[0], "dropped": True})
            await self.frames.put((number, data, arrived))
            number += 1

    async def _answer(self) -> None:
        while (frame := await self.frames.get()) is not None:
            number, data, arrived = frame
            try:
                said, result = await (self._boxes if self.cut else self._label)(data, arrived)
            except ServiceError as problem:
                metrics.REJECTED.labels(problem.slug).inc()
                self.route.done(problem.status, time.perf_counter() - arrived)
                if isinstance(problem, Draining):
                    await self.socket.close(1012, "draining")
                    return
                await self._send({"frame": number, "problem": problem.document()})
                continue
            await self._send({
                "frame": number,
                **said,
                "model_version": result.model.version,
                "timing_ms": {"queue": round(result.queue_ms, 3), "infer": round(result.infer_ms, 3)},
            })  # fmt: skip
            self.route.done(200, time.perf_counter() - arrived)

    def _asked(self, arrived: float) -> dict[str, Any]:
        """The arguments of `Context.judged`."""
        return {
            "route": "/v1/stream", "received": arrived, "traceparent": self._traceparent, "caller": self._caller,
        }  # fmt: skip

    async def _label(self, data: bytes, arrived: float) -> tuple[dict[str, Any], Result]:
        """What is said of a picture of one tile. Raises ServiceError."""
        result = await self.app.engine.inspect((data,), timeout=self.app.settings.deadline_ms / 1e3)
        if result.faults:
            raise result.faults[0]
        (verdict,) = self.app.judged(result, **self._asked(arrived))
        assert verdict is not None
        return {"label": verdict.label, "probability": verdict.probability, "review": verdict.review}, result

    async def _boxes(self, data: bytes, arrived: float) -> tuple[dict[str, Any], Result]:
        """What is said of a frame of a line camera. Raises ServiceError."""
        result, grid = await frames.inspect(self.app, data, timeout=self.app.settings.deadline_ms / 1e3)
        said = frames.answer(self.app, result, grid, **self._asked(arrived))
        return {"size": said.frame, "defects": said.defects}, result

    async def _send(self, answer: dict[str, Any]) -> None:
        await self.socket.send_text(msgspec.json.encode(answer).decode())
