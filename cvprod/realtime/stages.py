"""A pipeline of stages, each in threads of its own, with a bounded queue before each: back-pressure and a trace.

    line = Pipeline([Stage("decode", decode), Stage("infer", infer)], capacity=2)
    done = line.run(jpegs)
    done.results, done.rate, done.spans

Threads serve, and processes are not needed, as long as the heavy stages let go of Python's global lock (GIL): decoders,
OpenCV and ONNX Runtime all do while they compute.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

_END = object()


@dataclass(frozen=True)
class Stage:
    """One step of the work: `fn` takes what the stage before returned. `workers` threads run it side by side."""

    name: str
    fn: Callable[[object], object]
    workers: int = 1


@dataclass(frozen=True)
class Span:
    """One item in one stage; start and end in seconds from the start of the run."""

    stage: str
    worker: int
    item: int
    start: float
    end: float


@dataclass(frozen=True, eq=False)
class Run:
    """What came of a run.

    results: of the last stage, in the order of the items. spans: every item in every stage, by start.
    due, done: float64 (n,), seconds; when each item entered (or should have) and when its result was there.
    """

    results: list
    spans: list[Span]
    due: np.ndarray
    done: np.ndarray

    @property
    def rate(self) -> float:
        """Items a second, from the first entry to the last result."""
        return len(self.results) / float(self.done.max() - self.due.min())

    def busy(self) -> dict[str, float]:
        """Share of the run that each stage's threads spent working: the stage near 1 is the bottleneck."""
        wall, workers = float(self.done.max() - self.due.min()), {}
        for span in self.spans:
            workers.setdefault(span.stage, {}).setdefault(span.worker, []).append(span.end - span.start)
        return {stage: sum(map(sum, times.values())) / len(times) / wall for stage, times in workers.items()}


class Pipeline:
    """Stages in a row. A full queue blocks whoever fills it, so memory is bounded by `capacity` items a queue.

    Raises ValueError without a stage, with two of one name, with fewer than one worker or place in a queue.
    """

    def __init__(self, stages: Sequence[Stage], *, capacity: int = 2) -> None:
        names = [stage.name for stage in stages]
        if not names or len(set(names)) != len(names):
            raise ValueError(f"a pipeline needs stages with different names, not {names or 'none'}.")
        if capacity < 1 or any(stage.workers < 1 for stage in stages):
            raise ValueError("every stage needs at least one worker, and every queue at least one place.")
        self.stages, self.capacity = list(stages), capacity

    def run(self, items: Iterable, *, due: np.ndarray | None = None) -> Run:
        """Send the items through.

        Args:
            due: when each item arrives, in seconds, ascending: a camera. Without it the next one enters as soon as
                there is room. A full first queue delays an arrival, and `Run.due` keeps the time it was due.

        Raises whatever a stage raised first, after all threads have ended.
        """
        items = list(items)
        if not items or (due is not None and len(due) != len(items)):
            raise ValueError(f"a run needs items, and as many due times: {len(items)} items.")
        return _Work(self, len(items)).go(items, due)


class _Work:
    """The threads and queues of one run."""

    def __init__(self, line: Pipeline, n: int) -> None:
        self.stages = line.stages
        self.queues = [queue.Queue(line.capacity) for _ in line.stages]
        self.spans: list[Span] = []
        self.results: list = [None] * n
        self.entered, self.done = np.zeros(n), np.zeros(n)
        self.left = [stage.workers for stage in line.stages]  # threads of each stage still at work
        self.lock = threading.Lock()
        self.failed: list[BaseException] = []
        self.origin = 0.0

    def go(self, items: list, due: np.ndarray | None) -> Run:
        crew = [
            threading.Thread(target=self._stage, args=(i, worker), daemon=True)
            for i, stage in enumerate(self.stages)
            for worker in range(stage.workers)
        ]
        for thread in crew:
            thread.start()
        self.origin = time.perf_counter()
        for number, item in enumerate(items):
            if due is not None:
                time.sleep(max(0.0, self.origin + due[number] - time.perf_counter()))
            self.entered[number] = self._now() if due is None else due[number]
            if self.failed:
                break
            self.queues[0].put((number, item))
        self.queues[0].put(_END)
        for thread in crew:
            thread.join()
        if self.failed:
            raise self.failed[0]
        self.spans.sort(key=lambda span: span.start)
        return Run(self.results, self.spans, self.entered, self.done)

    def _now(self) -> float:
        return time.perf_counter() - self.origin

    def _stage(self, index: int, worker: int) -> None:
        stage, source = self.stages[index], self.queues[index]
        last = index == len(self.stages) - 1
        while (entry := source.get()) is not _END:
            number, item = entry
            if self.failed:  # keep on emptying the queue, or those before us would wait for ever
                continue
            start = self._now()
            try:
                item = stage.fn(item)
            except BaseException as error:
                self.failed.append(error)
                continue
            end = self._now()
            self.spans.append(Span(stage.name, worker, number, start, end))
            if last:
                self.results[number], self.done[number] = item, end
            else:
                self.queues[index + 1].put((number, item))
        with self.lock:
            self.left[index] -= 1
            leaves_last = self.left[index] == 0
        if not leaves_last:
            source.put(_END)  # for the next thread of this stage
        elif not last:
            self.queues[index + 1].put(_END)
