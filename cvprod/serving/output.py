"""What an answer gives away, and who asks for too much: parts that attach to the service (see `attach`).

`--output rounded` tells probabilities to a tenth; `--output top1` tells the label and whether a human should look, and
no more. Both hold for every interface, the one that answers with logits included. `--watch-queries` counts callers that
ask again and again about pictures that are almost the same, which a camera does not do and a search for an adversarial
picture must.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from . import metrics
from .logs import log
from .verdict import Verdict

if TYPE_CHECKING:
    from .context import Context, Observation

#: Tenths: what a person can use of a probability.
STEP = 0.1
ALIKE = metrics.Counter("cvprod_near_duplicates_total", "Pictures almost like one that the same caller sent before.")


def rounded(verdicts: list[Verdict]) -> list[Verdict]:
    """Every probability to a tenth. Label and review flag stay as the exact ones decided them."""
    return [
        msgspec.structs.replace(
            verdict,
            probability=round(round(verdict.probability / STEP) * STEP, 1),
            probabilities=np.round(np.round(verdict.probabilities / STEP) * STEP, 1).astype(np.float32),
        )
        for verdict in verdicts
    ]


def top1(review_below: float) -> Callable[[list[Verdict]], list[Verdict]]:
    """A filter after which an answer tells the label and the review flag alone: as probability it gives the limit
    that the flag stands for (`review_below`, or 0 below it), and to the other classes nothing."""

    def told(verdicts: list[Verdict]) -> list[Verdict]:
        found = []
        for verdict in verdicts:
            known = 0.0 if verdict.review else review_below
            table = np.zeros(len(verdict.classes), np.float32)
            table[verdict.classes.index(verdict.label)] = 1.0
            found.append(msgspec.structs.replace(verdict, probability=known, probabilities=table))
        return found

    return told


def attach_filter(context: Context, kind: str) -> None:
    """For the setting `output`: "rounded" or "top1"."""
    context.filter = rounded if kind == "rounded" else top1(context.settings.review_below)


def attach_watch(context: Context, _: bool) -> None:
    """For the setting `watch_queries`."""
    context.watchers.append(Repeats())


def fingerprint(tile: np.ndarray) -> np.ndarray:
    """The texture of a tile as a unit vector: uint8 (96, 96) -> float32 (2256,).

    Halved in size and differenced along the rows: light and shade of the line, which all pictures of a camera share,
    drop out; the grain of the steel, which no two pieces share, stays; a change of a few grey levels hardly shows.
    """
    half = tile.reshape(48, 2, 48, 2).mean((1, 3), dtype=np.float32)
    grain = np.diff(half, axis=1).ravel()
    return grain / max(float(np.linalg.norm(grain)), 1e-6)


class Repeats:
    """A watcher that knows each caller's last pictures, and counts those that come again almost the same.

    Args:
        limit: cosine of two fingerprints from which two pictures count as alike.
        memory: pictures kept of each caller. callers: how many callers are kept, those seen last.
        share: a caller with more alike pictures than this, of the last `memory`, is named in the log, once.
    """

    def __init__(self, *, limit: float = 0.8, memory: int = 64, callers: int = 256, share: float = 0.25) -> None:
        self.limit, self.memory, self.callers, self.share = limit, memory, callers, share
        self._kept: OrderedDict[str, tuple[np.ndarray, deque[bool]]] = OrderedDict()
        self._named: set[str] = set()
        self._count = 0

    def seen(self, observation: Observation) -> None:
        """Called by the service after an answer."""
        for tile in observation.tiles:
            self.look(observation.caller, tile[0])

    def look(self, caller: str, tile: np.ndarray) -> bool:
        """Whether this picture, uint8 (96, 96), is almost one of the caller's last ones."""
        known, marks = self._kept.pop(caller, (np.zeros((self.memory, 2256), np.float32), deque(maxlen=self.memory)))
        mark = fingerprint(tile)
        alike = bool((known @ mark).max() > self.limit)
        known[self._count % self.memory] = mark
        self._count += 1
        marks.append(alike)
        self._kept[caller] = known, marks
        if len(self._kept) > self.callers:
            self._named.discard(self._kept.popitem(last=False)[0])
        if alike:
            ALIKE.inc()
            if sum(marks) > self.share * self.memory and caller not in self._named:
                self._named.add(caller)
                log.warning("queries", extra={"event": "alike-queries", "key": caller, "images": sum(marks)})
        return alike
