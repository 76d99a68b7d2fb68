"""What Prometheus reads at /metrics, over all workers.

prometheus_client's multiprocess mode: each worker writes to its own files in PROMETHEUS_MULTIPROC_DIR, whichever worker
is asked adds them up, and the files of dead workers are cleaned by the supervisor. The variable must be set before the
first import of prometheus_client.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import prometheus_client as prometheus
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

from cvprod.serving.resources import Resources

from .metric_files import Reserved, reading

# A worker is a process for good: asking the system for its number at every count costs a twentieth of a worker's time.
_pid = os.getpid()


def _note_pid() -> None:
    global _pid
    _pid = os.getpid()


os.register_at_fork(after_in_child=_note_pid)
if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
    if hasattr(os, "posix_fallocate"):
        prometheus.values.MmapedDict = Reserved
    _Stored = prometheus.values.MultiProcessValue(lambda: _pid)

    class _Value(_Stored):  # type: ignore[misc, valid-type]
        """A counter in its worker's file; where the disk is full, one that nobody will see: no answer fails for it."""

        def __init__(self, *names: object, **more: object) -> None:
            try:
                super().__init__(*names, **more)
            except OSError:
                self._value = 0.0
                self.inc = self.set = lambda *_: None
                self.get = lambda: self._value

    prometheus.values.ValueClass = _Value

#: Buckets around the contract's 10 ms: fine where the decision falls, coarse beyond.
SECONDS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5)
CONTENT_TYPE = prometheus.CONTENT_TYPE_LATEST

REQUESTS = Counter("cvprod_requests_total", "Requests answered.", ["route", "code"])
LATENCY = Histogram(
    "cvprod_request_seconds", "From the first byte read to the answer, without what was refused (429).", ["route"],
    buckets=SECONDS,
)  # fmt: skip
STAGE = Histogram("cvprod_stage_seconds", "Time in a stage of a batch.", ["stage"], buckets=SECONDS)
BATCH = Histogram("cvprod_batch_images", "Images in one run of the network.", buckets=(1, 2, 4, 8, 16, 32, 64))
REJECTED = Counter("cvprod_rejected_total", "Requests refused, by the slug of the problem.", ["reason"])
PREDICTIONS = Counter("cvprod_predictions_total", "Images classified.", ["label", "model_version"])
REVIEW = Counter("cvprod_review_total", "Images that a human should look at.", ["model_version"])
RECORDS = Counter("cvprod_records_total", "Pictures whose record was written, or lost.", ["outcome"])
WATCHER_FAULTS = Counter("cvprod_watcher_faults_total", "Errors in what is attached to the service.", ["watcher"])
WAITING = Gauge("cvprod_queue_images", "Images waiting.", multiprocess_mode="livesum")
CONNECTIONS = Gauge("cvprod_connections", "Connections open.", multiprocess_mode="livesum")
MODEL = Gauge(
    "cvprod_model_info", "The model that each worker runs.", ["name", "version", "sha256"], multiprocess_mode="livesum"
)

_QUEUE, _DECODE, _INFER = (STAGE.labels(stage) for stage in ("queue", "decode", "infer"))


def batch(images: int, queue: float, decode: float, infer: float) -> None:
    """One batch of the engine; seconds."""
    BATCH.observe(images)
    _QUEUE.observe(queue)
    _DECODE.observe(decode)
    _INFER.observe(infer)


class Route:
    """The metrics of one route, with their labels looked up once: a look-up costs as much as the counting."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._latency = LATENCY.labels(name)
        self._codes: dict[int, Counter] = {}

    def done(self, code: int, seconds: float) -> None:
        """One answer. A refusal counts, but not as a quick answer: it would make a service in trouble look fast."""
        self._counter(code).inc()
        if code != 429:
            self._latency.observe(seconds)

    def refused(self, count: int) -> None:
        """All that were refused at the door since the last call."""
        self._counter(429).inc(count)
        REJECTED.labels("overloaded").inc(count)

    def _counter(self, code: int) -> Counter:
        counter = self._codes.get(code)
        if counter is None:
            counter = self._codes[code] = REQUESTS.labels(self.name, str(code))
        return counter


class _Workers(multiprocess.MultiProcessCollector):
    """All workers' files, but for those that are still empty.

    prometheus_client creates a file and gives it its size after that. The library's own collector fails at one that is
    read in between, so a scrape failed now and then while a worker started, and for ever where a full disk had refused
    the size.
    """

    def collect(self) -> Iterable[prometheus.Metric]:
        with reading(Path(self._path)):
            return self.merge([str(file) for file in Path(self._path).glob("*.db") if _begun(file)], accumulate=True)


def _begun(file: Path) -> bool:
    try:
        return file.stat().st_size > 0
    except FileNotFoundError:  # of a dead worker, and the supervisor was quicker
        return False


def expose() -> bytes:
    """The exposition text: of all workers where there are several, else of this process."""
    registry: CollectorRegistry = prometheus.REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        _Workers(registry)
    used = CollectorRegistry()
    used.register(Resources())
    return generate_latest(registry) + generate_latest(used)
