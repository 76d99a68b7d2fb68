"""A plain picture from its arrival to its answer, without a task, a queue or a wake-up of its own.

It waits in the engine as its own future: when its batch is done, the engine tells it, and it writes the answer there
and then. uvicorn sees it as the cycle of a request and a response, so that keep-alive, pipelining and draining go on
as ever.
"""

from __future__ import annotations

import http
from typing import TYPE_CHECKING

from cvprod.serving.api.plain import Head
from cvprod.serving.errors import MEDIA_TYPE, ServiceError

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    from cvprod.serving.api.app import App
    from cvprod.serving.engine import Result

_JSON, _PROBLEM = b"application/json", MEDIA_TYPE.encode()


class _Nobody:
    """Whom uvicorn wakes when a connection ends: no task waits for that here."""

    def set(self) -> None: ...


class Exchange:
    """One request and its answer.

    Args:
        connection: where it came from, and where the answer goes.
        start: when its first byte was read, by time.perf_counter.
    """

    __slots__ = (
        "_app",
        "_asked",
        "_connection",
        "_head",
        "_request_id",
        "_start",
        "disconnected",
        "keep_alive",
        "message_event",
        "response_complete",
    )

    def __init__(self, app: App, connection: HttpToolsProtocol, head: Head, start: float) -> None:
        self._app, self._connection, self._head, self._start = app, connection, head, start
        self._request_id = head.request_id() or app.new_id()
        self._asked = ("", False)
        # what uvicorn asks of a cycle
        self.response_complete = self.disconnected = False
        self.keep_alive = True
        self.message_event = _Nobody()

    def begin(self, picture: bytes) -> None:
        """Ask the engine; the answer may be there at once, where it is a refusal."""
        head, app = self._head, self._app
        try:
            self._asked = app.asked(head.headers, head.query, self._connection.client)
            if not picture:
                raise ServiceError("body-empty")
            app.engine.submit(picture, self, timeout=app.timeout(head.headers))
        except Exception as error:
            self.set_exception(error)

    # what the engine asks of a future

    def done(self) -> bool:
        """Whether it has been answered."""
        return self.response_complete

    def set_result(self, result: Result) -> None:
        """Answer with what the model says."""
        caller, probabilities = self._asked
        try:
            answer = self._app.said(
                result, self._start, self._request_id, self._traceparent(), caller, probabilities=probabilities
            )
        except Exception as error:  # also a fault of ours: the others of the batch are to get theirs
            self.set_exception(error)
        else:
            self._send(200, _JSON, answer)

    def set_exception(self, error: BaseException) -> None:
        """Answer with a problem."""
        problem = self._app.problem(error, self._request_id, "/v1/inspect")
        self._send(problem.status, _PROBLEM, problem.body(self._request_id), self._app.headers_of(problem))

    def _traceparent(self) -> bytes:
        return self._head.headers.get(b"traceparent", b"")

    def _send(self, status: int, kind: bytes, body: bytes, more: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        connection = self._connection
        self.keep_alive = self.keep_alive and (b"connection", b"close") not in more
        self.response_complete = True
        if not self.disconnected:
            lines = [b"HTTP/1.1 %d %b" % (status, http.HTTPStatus(status).phrase.encode())]
            lines += [b"%b: %b" % header for header in connection.server_state.default_headers]
            lines.append(b"content-type: %b" % kind)
            lines.append(b"content-length: %d" % len(body))
            lines.append(b"x-request-id: %b" % self._request_id.encode())
            lines += [b"%b: %b" % header for header in more if header[0] != b"connection"]
            if not self.keep_alive:
                lines.append(b"connection: close")
            lines += (b"", body)
            connection.transport.write(b"\r\n".join(lines))
            if not self.keep_alive:
                connection.transport.close()
            connection.on_response_complete()
        self._app.account(
            self._app.inspect_route, status, self._start, self._request_id, self._traceparent(), int(status == 200)
        )
