"""A new version that sees real traffic and answers nobody: it gets a copy of every picture that there is time for.

The copy is made after the caller has his answer. A queue of fixed length lies between: when the shadow is slow or dead
the queue is full and copies are dropped, and the callers notice nothing. A shadow is never a reason to wait.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cvprod.measure import wilson
from cvprod.rollout.audit import Version
from cvprod.rollout.gates import Answer, Pair


@dataclass(frozen=True)
class Report:
    """offered: pictures that came by; dropped: for which there was no room; failed: that the shadow did not answer;
    table: (stable label, shadow's label) -> count; seconds: float (n,), what the shadow's answers took."""

    offered: int
    dropped: int
    failed: int
    table: Counter[tuple[str, str]]
    seconds: np.ndarray

    @property
    def answered(self) -> int:
        return self.table.total()

    @property
    def disagreement(self) -> float:
        """Share of the answered pictures on which the labels differ; NaN without any."""
        return self._differ / self.answered if self.answered else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95 % Wilson interval."""
        return wilson(self._differ, self.answered)

    @property
    def _differ(self) -> int:
        return sum(n for (stable, shadow), n in self.table.items() if stable != shadow)


class Shadow:
    """Duplicate answered pictures to another address, off the request path. A context manager.

    Args:
        address: of the shadow service.
        room: pictures that may wait.
        keep: disagreements that are kept for labelling, the newest; `disputed` gives them.
    """

    def __init__(self, address: str, *, room: int = 64, keep: int = 200, timeout: float = 2.0) -> None:
        self._version = Version(address, timeout)
        self._queue: queue.Queue = queue.Queue(room)
        self._table: Counter[tuple[str, str]] = Counter()
        self._seconds: deque[float] = deque(maxlen=10_000)
        self.disputed: deque[tuple[bytes, Pair]] = deque(maxlen=keep)
        self._pairs: queue.Queue[Pair] = queue.Queue(room)
        self._offered = self._dropped = self._failed = 0
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)
        self._thread.start()

    def offer(self, picture: bytes, label: str, seconds: float = float("nan")) -> bool:
        """A picture that the stable version has just answered. Returns at once; False where it was dropped."""
        self._offered += 1
        try:
            self._queue.put_nowait((picture, Answer(200, label, seconds)))
        except queue.Full:
            self._dropped += 1
            return False
        return True

    @property
    def report(self) -> Report:
        """What has been seen so far."""
        return Report(self._offered, self._dropped, self._failed, Counter(self._table), np.array(self._seconds))

    def pairs(self, patience: float = 0.5) -> Iterator[Pair | None]:
        """Pairs as they come, for a roll-out; None where none came within `patience` seconds. It never ends.

        Their truth is unknown. The gate on quality needs it only where the versions disagree.
        """
        while True:
            try:
                yield self._pairs.get(timeout=patience)
            except queue.Empty:
                yield None

    def settle(self, patience: float = 10.0) -> Report:
        """Wait until the queue is empty, at most so many seconds; the report then."""
        end = time.monotonic() + patience
        while self._queue.unfinished_tasks and time.monotonic() < end:
            time.sleep(0.01)
        return self.report

    def _run(self) -> None:
        while True:
            picture, stable = self._queue.get()
            if picture is None:
                return
            answer = self._version.ask(picture)
            pair = Pair(stable, answer)
            if answer.came:
                self._table[stable.label, answer.label] += 1
                self._seconds.append(answer.seconds)
            else:
                self._failed += 1
            if not pair.agree:
                self.disputed.append((picture, pair))
            if self._pairs.full():
                self._pairs.get_nowait()  # nobody listens: keep the newest
            self._pairs.put_nowait(pair)
            self._queue.task_done()

    def close(self) -> None:
        """Finish the request in hand, drop what waits, and end."""
        while True:
            try:
                self._queue.get_nowait()
            except queue.Empty:
                break
        self._queue.put((None, None))
        self._thread.join(10)
        self._version.close()

    def __enter__(self) -> Shadow:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
