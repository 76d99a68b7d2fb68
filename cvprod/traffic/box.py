"""One box of the line: what its workers do with a tile, from JPEG to label, and how long a row of tiles takes it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from cvprod import costs, surface
from cvprod.contract import Contract, Line
from cvprod.costs.options import BUSY
from cvprod.measure import MB, Latency
from cvprod.models import Evaluation
from cvprod.models.evaluation import Predict
from cvprod.traffic import load


def inspector(predict: Predict, jpeg: np.ndarray) -> Callable[[], int]:
    """What a worker does with a tile: decode it, resize it, classify it. jpeg: uint8 (bytes,) of one camera tile."""

    def inspect() -> int:
        picture = surface.to_input(cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE))
        return int(predict(picture[None, None]).argmax())

    return inspect


@dataclass(frozen=True, eq=False)
class Box:
    """A box with so many workers, and what it did while all of them were busy (`load.closed_loop`)."""

    inspect: Callable[[], int]
    workers: int
    busy: load.Load

    @classmethod
    def measured(cls, predict: Predict, jpeg: np.ndarray, *, workers: int, seconds: float = 1.5) -> Box:
        """Keep all workers of a box busy with `predict` for `seconds`."""
        inspect = inspector(predict, jpeg)
        inspect()  # the first call is nobody's usual one
        return cls(inspect, workers, load.closed_loop(inspect, seconds=seconds, clients=workers))

    @property
    def rate(self) -> float:
        """Tiles a second when it never waits: more than it may be asked for."""
        return self.busy.rate

    def needed(self, tiles_per_s: float) -> int:
        """Boxes for so many tiles a second, each busy for at most the share BUSY of the time."""
        return math.ceil(tiles_per_s / (BUSY * self.rate) - 1e-9)

    def simulated(self, line: Line, boxes: int, *, rows: int = 600) -> Latency | None:
        """From a row's arrival to each label, by `costs.simulate_rows`; None where so many boxes cannot keep up."""
        facts = {"rows_per_s": line.rows_per_s, "tiles_across": line.tiles_across}
        seconds = costs.simulate_rows(self.busy.service.samples, boxes=boxes, workers=self.workers, rows=rows, **facts)
        return Latency(seconds) if np.isfinite(seconds).all() else None

    def share(self, line: Line, boxes: int, *, seconds: float) -> Latency:
        """The same for real, in an open loop: one box gets its share of every row, dealt out to `boxes` in turn."""
        due = np.repeat(load.schedule(line.rows_per_s, seconds), line.tiles_across)
        return load.open_loop(self.inspect, due[::boxes], workers=self.workers).latency

    def evidence(
        self,
        contract: Contract,
        prices: costs.Prices,
        *,
        way: Latency,
        errors: Evaluation,
        size_bytes: int,
        memory_bytes: int,
    ) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
        """What `contract.check` holds against a contract of a line: measured values, and intervals of the estimates.

        way: from a `share`, of as many boxes as are `needed`, which are also what it costs. errors: of a test at the
        operating point that would be deployed.
        """
        line, limits = contract.line, contract.limits()
        place = costs.edge(
            prices,
            p99_ms=way.p99_ms,
            tiles_per_s=BUSY * self.rate,
            needed_tiles_per_s=limits["tiles_per_s"],
            hours_per_year=line.hours_per_year,
        )
        shares = ("defect_recall", "false_reject_rate")
        measured = {
            "p99_latency_ms": way.p99_ms,
            "tiles_per_s": self.rate,
            **{name: errors.rate(name) for name in shares},
            "model_size_mb": size_bytes / MB,
            "memory_mb": memory_bytes / MB,
            "cost_per_million_tiles_eur": place.eur_per_million,
        }
        return measured, {"p99_latency_ms": way.interval_ms(99), **{name: errors.interval(name) for name in shares}}
