"""Where spans arrive: a receiver of OTLP over HTTP on loopback that keeps them for a notebook to look at.

In production a collector takes them and passes them on (deploy/monitoring/otelcol.yml). Both speak the same protocol,
so the service cannot tell the difference.
"""

from __future__ import annotations

import gzip
import http.server
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Span:
    """One span. trace, id, parent: hex, parent "" at the root. start, end: seconds since 1970."""

    name: str
    trace: str
    id: str
    parent: str
    start: float
    end: float
    about: Mapping[str, object]


def decode(body: bytes) -> list[Span]:
    """The spans of an OTLP export request. Raises google.protobuf.message.DecodeError for what is none."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = ExportTraceServiceRequest.FromString(body)
    return [
        Span(
            s.name, s.trace_id.hex(), s.span_id.hex(), s.parent_span_id.hex(), s.start_time_unix_nano / 1e9,
            s.end_time_unix_nano / 1e9, {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in s.attributes},
        )
        for resource in request.resource_spans for scope in resource.scope_spans for s in scope.spans
    ]  # fmt: skip


class Receiver:
    """Takes spans and keeps them in `spans`, as a context manager. `address` is where to send them."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                owner.spans += decode(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}/v1/traces"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def trace(self, root: str) -> list[Span]:
        """A root and the spans below it, by their start. root: its trace id."""
        return sorted((s for s in self.spans if s.trace == root), key=lambda s: (s.start, -s.end))

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
