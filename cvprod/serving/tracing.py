"""Traces: where one request spent its time, joined to its line in the log by the trace id. Off by default.

Four spans for every request would cost a quarter of a core at a worker's full rate, most of it for traces that nobody
will read. So the decision is made before OpenTelemetry hears of the request: a caller that asks for it (the sampled
flag of `traceparent`), one request in a hundred, and every slow one. The last is only known at the end, and costs
nothing until then: the spans are made afterwards, from timestamps that the service takes anyway.

OpenTelemetry is imported where tracing is on, and nowhere else. Spans go by OTLP over HTTP to a collector
(deploy/monitoring/otelcol.yml), in batches, from a thread of their own.
"""

from __future__ import annotations

import hashlib
import re
import time
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cvprod.serving.context import Context, Observation

#: W3C Trace Context: version, trace id, parent id, flags.
_PARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")


def trace_id(traceparent: str, request_id: str) -> str:
    """The caller's trace id, else one made from the request id, so that logs and traces agree without talking."""
    found = _PARENT.match(traceparent)
    return found[1] if found else hashlib.blake2b(request_id.encode(), digest_size=16).hexdigest()


def chosen(traceparent: str, request_id: str, seconds: float, *, share: float, slow: float) -> str:
    """Why this request is traced ("caller", "slow", "share"), or "" if it is not.

    The share is taken by a hash of the request id: a second service that sees the same id decides the same.
    """
    found = _PARENT.match(traceparent)
    if found and int(found[3], 16) & 1:
        return "caller"
    if seconds > slow:
        return "slow"
    return "share" if zlib.crc32(request_id.encode()) < share * 2**32 else ""


class Tracing:
    """A watcher that makes spans of some requests.

    Args:
        processor: an OpenTelemetry span processor; gets every span that is made.
        share: of requests, traced whatever happens. slow: seconds from which every request is traced.
        version: of the model, for the resource.
    """

    def __init__(self, processor: Any, *, share: float = 0.01, slow: float = 0.01, version: str = "") -> None:
        from opentelemetry import trace
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

        class Ids(RandomIdGenerator):
            """Gives a trace that begins here the id that its line in the log has."""

            wanted = 0

            def generate_trace_id(self) -> int:
                return self.wanted or super().generate_trace_id()

        self.share, self.slow, self._trace, self._ids = share, slow, trace, Ids()
        resource = Resource.create({"service.name": "inspection", "service.version": version})
        self.provider = TracerProvider(resource=resource, id_generator=self._ids)
        self.provider.add_span_processor(processor)
        self._tracer = self.provider.get_tracer("cvprod.serving")

    def seen(self, observation: Observation) -> None:
        """Make spans of an answered request, if it is one of the chosen."""
        o = observation
        seconds = o.answered - o.received
        if why := chosen(o.traceparent, o.request_id, seconds, share=self.share, slow=self.slow):
            self.spans(o, why)

    def failed(self, route: str, code: int, request_id: str, traceparent: str, seconds: float) -> None:
        """One span for an answer from 500 on: every one is traced."""
        now = time.time()
        about = {"http.response.status_code": code, "cvprod.traced_because": "error"}
        root = self._root(route, request_id, traceparent, now - seconds, about)
        root.set_status(self._trace.StatusCode.ERROR)
        root.end(int(now * 1e9))

    def _root(self, route: str, request_id: str, traceparent: str, start: float, about: dict[str, Any]) -> Any:
        """The request's own span, below the caller's where there is one."""
        trace = self._trace
        context, found = None, _PARENT.match(traceparent)
        if found:
            parent = trace.SpanContext(int(found[1], 16), int(found[2], 16), True, trace.TraceFlags(1))
            context = trace.set_span_in_context(trace.NonRecordingSpan(parent))
        self._ids.wanted = int(trace_id(traceparent, request_id), 16)
        about = {"http.request.method": "POST", "http.route": route, "cvprod.request_id": request_id} | about
        return self._tracer.start_span(
            f"POST {route}", context, trace.SpanKind.SERVER, about, start_time=int(start * 1e9)
        )

    def spans(self, o: Observation, why: str) -> None:
        """One span for the request, one for each stage below it."""
        about = {
            "http.response.status_code": 200, "cvprod.model.name": o.model_name, "cvprod.images": len(o.verdicts),
            "cvprod.model.version": o.model_version, "cvprod.traced_because": why,
        }  # fmt: skip
        root = self._root(o.route, o.request_id, o.traceparent, o.received, about)
        below = self._trace.set_span_in_context(root)
        for name, (start, end) in o.stages.items():
            self._tracer.start_span(name, below, start_time=int(start * 1e9)).end(int(end * 1e9))
        root.end(int(o.answered * 1e9))

    def close(self) -> None:
        """Send what is left."""
        self.provider.shutdown()


def attach(context: Context, endpoint: str) -> None:
    """Attach tracing to a worker. endpoint: of a collector, such as http://otelcol:4318/v1/traces.

    Raises SettingsError where OpenTelemetry is not installed.
    """
    from cvprod.serving.settings import SettingsError

    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise SettingsError("--tracing needs OpenTelemetry: pip install 'cvprod[monitoring]'") from None
    settings = context.settings
    processor = BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, timeout=5))
    context.watchers.append(
        Tracing(
            processor, share=settings.tracing_share, slow=settings.latency_budget_ms / 1e3,
            version=context.engine.model.version,
        )
    )  # fmt: skip
