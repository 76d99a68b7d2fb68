"""Bytes that really cross a connection, headers and frames included: a relay that counts them on their way.

    with Meter(service.port) as meter:
        client = httpx.Client(base_url=f"http://127.0.0.1:{meter.port}")
        per_call(lambda: client.get("/healthz"), [meter])

What TCP and IP put around them is not counted.
"""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Callable, Sequence


class Meter:
    """A relay before a TCP port of the loopback, as a context manager. Clients connect to `port` instead.

    sent, received: bytes so far, as the clients see it. Connections that are still open at the end are cut.
    """

    def __init__(self, port: int) -> None:
        self.sent = self.received = 0
        self._target = ("127.0.0.1", port)
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> Meter:
        meter = self

        class Relay(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                meter._relay(self.request)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Relay)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        with self._lock:
            for end in self._open:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def _relay(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), socket.create_connection(self._target) as service:
            for end in (client, service):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._open |= {client, service}
            back = threading.Thread(target=self._pump, args=(service, client, "received"), daemon=True)
            back.start()
            self._pump(client, service, "sent")
            back.join()
            with self._lock:
                self._open -= {client, service}

    def _pump(self, source: socket.socket, target: socket.socket, what: str) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                with self._lock:  # counted before it is passed on: who has an answer finds all of it counted
                    setattr(self, what, getattr(self, what) + len(data))
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


def per_call(call: Callable[[], object], meters: Sequence[Meter], *, calls: int = 20) -> tuple[float, float]:
    """Bytes sent and received in one of `calls` calls, on the mean, once the connection has been made.

    Raises ValueError without meters or calls.
    """
    if calls < 1 or not meters:
        raise ValueError(f"per_call needs a meter and at least one call, not {len(meters)} and {calls}.")
    for _ in range(3):  # connects, and lets HTTP/2 learn the headers that it then sends by number
        call()
    before = [(meter.sent, meter.received) for meter in meters]
    for _ in range(calls):
        call()
    grown = [(m.sent - sent, m.received - received) for m, (sent, received) in zip(meters, before, strict=True)]
    sent, received = (sum(part) / calls for part in zip(*grown, strict=True))
    return sent, received
