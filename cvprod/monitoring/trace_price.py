"""What tracing costs: processor time a request, for four ways to do it, exporting included.

Spans are encoded as they would be sent (OTLP) and dropped then: a network's speed is no part of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from cvprod.serving.context import Observation
from cvprod.serving.tracing import Tracing
from cvprod.serving.verdict import Verdict

STAGES = ("queue", "decode", "infer")


def _processor():
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class Encode(SpanExporter):
        def export(self, spans) -> SpanExportResult:
            encode_spans(spans).SerializeToString()
            return SpanExportResult.SUCCESS

    return BatchSpanProcessor(Encode(), max_queue_size=2**16)


def _by_hand(spans: int, share: float) -> tuple[Callable[[int], None], Callable[[], object]]:
    """The usual way: `start_as_current_span` around everything, sampled by the SDK."""
    from opentelemetry.sdk.trace import TracerProvider, sampling

    provider = TracerProvider(sampler=sampling.TraceIdRatioBased(share))
    provider.add_span_processor(_processor())
    tracer = provider.get_tracer("price")

    def request(number: int) -> None:
        about = {"http.request.method": "POST", "http.route": "/v1/inspect", "cvprod.request_id": str(number)}
        with tracer.start_as_current_span("POST /v1/inspect", attributes=about):
            for name in STAGES[: spans - 1]:
                with tracer.start_as_current_span(name):
                    pass

    return request, provider.shutdown


def _decided_before(share: float) -> tuple[Callable[[int], None], Callable[[], object]]:
    """The service's way: decide, and only then make spans from timestamps."""
    watcher = Tracing(_processor(), share=share, slow=1.0)
    verdict = Verdict("clean", 0.9, False, False, np.zeros(7, np.float32), ("clean",) * 7)
    now = time.time()
    stages = {name: (now + i * 1e-3, now + (i + 1) * 1e-3) for i, name in enumerate(STAGES)}

    def request(number: int) -> None:
        watcher.seen(
            Observation(f"r-{number:x}", "/v1/inspect", "", "", "steel", "1", now, now + 3e-3, stages, (0,), [verdict],
                        np.zeros((1, 1, 1, 1), np.uint8))
        )  # fmt: skip

    return request, watcher.close


WAYS: dict[str, Callable[[], tuple[Callable[[int], None], Callable[[], object]]]] = {
    "four spans, every request": lambda: _by_hand(4, 1.0),
    "one span, every request": lambda: _by_hand(1, 1.0),
    "four spans, the SDK samples 1 %": lambda: _by_hand(4, 0.01),
    "decided before the SDK, 1 %": lambda: _decided_before(0.01),
}


def microseconds(*, requests: int = 2000, rounds: int = 3) -> dict[str, float]:
    """Processor time a request of each way, in microseconds: the least of some rounds, taken in turns."""
    found = {name: float("inf") for name in WAYS}
    for _ in range(rounds):
        for name, make in WAYS.items():
            request, finish = make()
            begun = time.process_time()
            for number in range(requests):
                request(number)
            finish()
            found[name] = min(found[name], (time.process_time() - begun) / requests * 1e6)
    return found
