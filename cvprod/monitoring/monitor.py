"""The process that watches: fills windows from what was served, judges them, and tells Prometheus.

It is no part of the workers. A detector may take a tenth of a second, and a tile must not wait for it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge

from cvprod.serving.descriptors import NAMES

from .accuracy import confidence_estimate, rates
from .adwin import Adwin
from .calibration import WINDOW, Baseline, Thresholds
from .detectors import DETECTORS, by_descriptor
from .sample import Sample, join


class Metrics:
    """What a monitor exports, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

        def make(kind: type, name: str, text: str, labels: tuple[str, ...] = ()):
            return kind(name, text, labels, registry=self.registry)

        self.score = make(Gauge, "cvprod_drift_score", "Of the last window, by detector.", ("detector",))
        self.limit = make(Gauge, "cvprod_drift_limit", "What a score must exceed to be an alarm.", ("detector",))
        self.alarms = make(Counter, "cvprod_drift_alarms", "Windows in which a detector spoke.", ("detector",))
        self.windows = make(Counter, "cvprod_drift_windows", "Windows judged.")
        self.moment = make(Gauge, "cvprod_drift_window_timestamp_seconds", "When the last window was judged.")
        self.moved = make(Gauge, "cvprod_drift_descriptor_ks", "How far each descriptor has moved.", ("descriptor",))
        self.quality = make(Gauge, "cvprod_quality", "By audited labels, 95 % interval.", ("metric", "bound"))
        self.labels = make(Counter, "cvprod_quality_labels", "Audited labels that came.")
        self.expected = make(Gauge, "cvprod_quality_expected_accuracy", "Without labels: the mean confidence.")
        self.changes = make(Counter, "cvprod_quality_changes", "Changes of the error on audited tiles, by ADWIN.")
        for name in DETECTORS:
            self.alarms.labels(name)
        for name in NAMES:
            self.moved.labels(name)


class Monitor:
    """Judges what was served, window by window.

    Args:
        baseline: of the model that serves. thresholds: made from it.
        window: tiles in a window. audits: labels that the quality rests on, the latest ones.
        clock: for tests.
    """

    def __init__(
        self, baseline: Baseline, thresholds: Thresholds, *, window: int = WINDOW, audits: int = 2000,
        clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self.reference, self.thresholds, self.window = baseline.reference, thresholds, window
        self.metrics, self._clock = Metrics(), clock
        self._detectors = baseline.detectors()
        self._waiting: list[Sample] = []
        self._audited: deque[tuple[int, int]] = deque(maxlen=audits)
        self._adwin = Adwin()
        for name, limit in thresholds.limits.items():
            self.metrics.limit.labels(name).set(limit)

    def take(self, served: Sample) -> list[dict[str, float]]:
        """More that was served. Returns the scores of each window that became full, if any did."""
        self._waiting.append(served)
        found = []
        while sum(map(len, self._waiting)) >= self.window:
            held = join(self._waiting)
            self._waiting = [held[self.window :]] if len(held) > self.window else []
            found.append(self._judge(held[: self.window]))
        return found

    def _judge(self, window: Sample) -> dict[str, float]:
        scores = {name: score(window) for name, score in self._detectors.items()}
        for name, score in scores.items():
            self.metrics.score.labels(name).set(score)
        for name in self.thresholds.alarms(scores):
            self.metrics.alarms.labels(name).inc()
        for name, moved in by_descriptor(self.reference, window).items():
            self.metrics.moved.labels(name).set(moved)
        self.metrics.expected.set(confidence_estimate(window.probabilities))
        self.metrics.windows.inc()
        self.metrics.moment.set(self._clock())
        return scores

    def audit(self, labels: np.ndarray, predicted: np.ndarray) -> bool:
        """Labels that have come for tiles drawn by chance, oldest first. Returns whether the error has risen."""
        rose = False
        for label, answer in zip(np.asarray(labels).tolist(), np.asarray(predicted).tolist(), strict=True):
            self._audited.append((label, answer))
            if self._adwin.add(float(label != answer)) and self._adwin.rose:
                self.metrics.changes.inc()
                rose = True
        self.metrics.labels.inc(len(labels))
        if self._audited:
            known = np.array(self._audited)
            for metric, found in rates(known[:, 0], known[:, 1]).items():
                for bound in ("low", "estimate", "high"):
                    self.metrics.quality.labels(metric, bound).set(getattr(found, bound))
        return rose


def serve(metrics: Metrics, port: int, host: str = "127.0.0.1") -> tuple[int, Callable[[], None]]:
    """Answer Prometheus. port 0 takes a free one. Returns the port and what stops it."""
    from prometheus_client import start_http_server

    server, thread = start_http_server(port, host, metrics.registry)

    def stop() -> None:
        server.shutdown()
        thread.join()
        server.server_close()

    return server.server_port, stop
