"""ADWIN: has the mean of a stream changed, and since when?

A. Bifet and R. Gavaldà, "Learning from Time-Changing Data with Adaptive Windowing", SDM 2007. The window grows while
nothing changes and drops its old part where two parts of it differ by more than chance allows. It needs memory for a
few dozen sums, whatever the stream's length.
"""

from __future__ import annotations

import math


class Adwin:
    """One stream of numbers between 0 and 1, such as errors on labelled tiles.

    Args:
        delta: bound on the chance of a false alarm at each test; smaller waits longer.
        every: values between two tests.
        buckets: sums of equal size kept before two are merged; more keep the place of a change more exactly.
        least: values that each part of the window must have to be compared.

    Raises:
        ValueError: an option is out of its range.
    """

    def __init__(self, delta: float = 0.002, *, every: int = 32, buckets: int = 5, least: int = 5) -> None:
        if not 0 < delta < 1 or min(every, buckets, least) < 1:
            raise ValueError("delta lies between 0 and 1; every, buckets and least are at least 1")
        self.delta, self.every, self.buckets, self.least = delta, every, buckets, least
        self._rows: list[list[tuple[float, float]]] = []  # row r: (sum, sum of squares) of 2**r values, oldest first
        self.seen = self.size = 0
        self._sum = self._squares = 0.0

    @property
    def mean(self) -> float:
        """Mean of the window; nan before the first value."""
        return self._sum / self.size if self.size else float("nan")

    def add(self, value: float) -> bool:
        """Take one value in. Returns whether the mean has changed; the window then holds the new part only.

        Raises ValueError for what is no number between 0 and 1: a missing label is no right answer.
        """
        if not 0 <= value <= 1:
            raise ValueError(f"{value!r} does not lie between 0 and 1")
        self._push(float(value))
        self.seen += 1
        if self.seen % self.every or self.size < 2 * self.least:
            return False
        before, changed = self.mean, False
        while self._cut():
            changed = True
        self.rose = changed and self.mean > before
        return changed

    rose = False  # whether the last change was upwards

    def _push(self, value: float) -> None:
        self.size += 1
        self._sum += value
        self._squares += value * value
        new: tuple[float, float] | None = (value, value * value)
        for row in self._rows:
            row.append(new)
            if len(row) <= self.buckets:
                return
            (a, aa), (b, bb) = row.pop(0), row.pop(0)
            new = (a + b, aa + bb)
        self._rows.append([new])

    def _cut(self) -> bool:
        """Drop the oldest sum if any split of the window shows a change."""
        n, variance = self.size, max(0.0, self._squares / self.size - self.mean**2)
        log = math.log(2 * math.log(n) / self.delta)
        old, total = 0, 0.0
        for r in range(len(self._rows) - 1, -1, -1):
            for part, _ in self._rows[r]:
                old += 2**r
                total += part
                new = n - old
                if old < self.least or new < self.least:
                    continue
                m = 1 / (1 / (old - self.least + 1) + 1 / (new - self.least + 1))
                bound = math.sqrt(2 / m * variance * log) + 2 / (3 * m) * log
                if abs(total / old - (self._sum - total) / new) > bound:
                    row = self._rows[-1]
                    gone, squares = row.pop(0)
                    self.size -= 2 ** (len(self._rows) - 1)
                    self._sum -= gone
                    self._squares -= squares
                    if not row:
                        self._rows.pop()
                    return self.size > 0
        return False
