"""A new version that sees real traffic and answers nobody: it gets a copy of every picture that there is time for.

The copy is made after the caller has his answer. A queue of fixed length lies between: when the shadow is slow or dead
the queue is full and copies are dropped, and the callers notice nothing. A shadow is never a reason to wait.

The service takes one by its option `--shadow http://other:8000` (see `attach`); what becomes of the copies is then in
its metrics, as cvprod_shadow_total, and each disagreement in its log, with the request's id and without the picture.
"""

from __future__ import annotations

import functools
import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cvprod.rollout.audit import Version
from cvprod.rollout.gates import Answer, Pair

if TYPE_CHECKING:
    from cvprod.serving.context import Context, Observation


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
        from cvprod.measure import wilson  # not needed in the service, whose image lacks it

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
        tell: called in the shadow's thread with (id, pair) for each answered picture, and with (id, None) for each that
            was dropped (in the caller's thread then).
    """

    def __init__(
        self, address: str, *, room: int = 64, keep: int = 200, timeout: float = 2.0,
        tell: Callable[[str, Pair | None], None] | None = None,
    ) -> None:  # fmt: skip
        self._version, self._tell = Version(address, timeout), tell or (lambda *_: None)
        self._queue: queue.Queue = queue.Queue(room)
        self._table: Counter[tuple[str, str]] = Counter()
        self._seconds: deque[float] = deque(maxlen=10_000)
        self.disputed: deque[tuple[bytes | np.ndarray, Pair]] = deque(maxlen=keep)
        self._pairs: queue.Queue[Pair] = queue.Queue(room)
        self._offered = self._dropped = self._failed = 0
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)
        self._thread.start()

    def offer(self, picture: bytes | np.ndarray, label: str, seconds: float = float("nan"), name: str = "") -> bool:
        """A picture that the stable version has just answered. Returns at once; False where it was dropped.

        picture: JPEG or PNG, or a tile, uint8 (96, 96), which is encoded without loss when its turn comes.
        """
        self._offered += 1
        try:
            self._queue.put_nowait((picture, Answer(200, label, seconds), name))
        except queue.Full:
            self._dropped += 1
            self._tell(name, None)
            return False
        return True

    def seen(self, observation: Observation) -> None:
        """A watcher of the service: every tile of the answered request, as its network saw it."""
        took = observation.answered - observation.received
        for row, verdict, tile in zip(observation.rows, observation.verdicts, observation.tiles, strict=True):
            self.offer(tile[0].copy(), verdict.label, took, f"{observation.request_id}/{row}")

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
            picture, stable, name = self._queue.get()
            if picture is None:
                return
            answer = self._version.ask(picture if isinstance(picture, bytes) else _png(picture))
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
            self._tell(name, pair)
            self._queue.task_done()

    def close(self) -> None:
        """Finish the request in hand, drop what waits, and end."""
        while True:
            try:
                self._queue.get_nowait()
            except queue.Empty:
                break
        self._queue.put((None, None, ""))
        self._thread.join(10)
        self._version.close()

    def __enter__(self) -> Shadow:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _png(tile: np.ndarray) -> bytes:
    """A tile, uint8 (H, W), without loss."""
    import cv2

    return cv2.imencode(".png", tile)[1].tobytes()


@functools.cache
def _copies():
    """One for the process; made late, because prometheus_client's mode is settled by the worker that imports it."""
    import prometheus_client as prometheus

    return prometheus.Counter("cvprod_shadow_total", "Copies of pictures for the shadow.", ["outcome"])


def attach(context: Context, address: str) -> None:
    """Give a worker of the service its shadow. Raises SettingsError for what is no address."""
    from cvprod.serving.logs import log
    from cvprod.serving.settings import SettingsError

    outcomes = {name: _copies().labels(name) for name in ("same", "differs", "failed", "dropped")}

    def tell(name: str, pair: Pair | None) -> None:
        if pair is None:
            outcomes["dropped"].inc()
        elif not pair.canary.came:
            outcomes["failed"].inc()
        elif pair.agree:
            outcomes["same"].inc()
        else:
            outcomes["differs"].inc()
            told = f"{pair.stable.label}, shadow: {pair.canary.label}"
            log.info("shadow", extra={"event": "shadow-differs", "request_id": name, "detail": told})

    try:
        context.watchers.append(Shadow(address, tell=tell))
    except ValueError as error:  # the worker would say no more than its kind
        raise SettingsError(f"--shadow {address}: {error}") from None
