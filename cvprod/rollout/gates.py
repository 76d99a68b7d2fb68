"""Three questions about a new version, each asked of pairs of answers: is it slower, does it fail, is it wrong?

A gate has two heaps of evidence. `worse` speaks against "the new version is not worse" and stops the roll-out.
`harmless` speaks against "it is worse by `margin` or more" and lets it pass. Between the two a gate holds, and it holds
as well where something is missing: no pairs, no label for a pair that needs one, a number that is none, or a source
that has fallen silent. Only evidence opens a gate.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from cvprod.rollout.sequential import Evidence

ALPHA = 0.05


class Decision(StrEnum):
    """What a gate, or all of them together, say."""

    PASS = "pass"
    HOLD = "hold"
    STOP = "stop"


@dataclass(frozen=True)
class Answer:
    """What one version said about a picture: HTTP status (0: no answer came), label, seconds until it was there."""

    status: int
    label: str = ""
    seconds: float = math.nan

    @property
    def came(self) -> bool:
        return self.status == 200


@dataclass
class Pair:
    """One picture, answered by both versions. `truth` is None until somebody has looked at it."""

    stable: Answer
    canary: Answer
    truth: str | None = None

    @property
    def agree(self) -> bool:
        """Both answered, and the same: then neither is better, whatever the truth is, and no label is needed."""
        return self.stable.came and self.canary.came and self.stable.label == self.canary.label


def failed(pair: Pair) -> float | None:
    """1 where only the canary gave no answer, -1 where only the stable version gave none."""
    return float(pair.stable.came) - float(pair.canary.came)


def slower(limit_s: float) -> Callable[[Pair], float | None]:
    """1 where only the canary took longer than `limit_s`; None for a time that is no number."""

    def judge(pair: Pair) -> float | None:
        if not pair.canary.came or not pair.stable.came:
            return 0.0  # a missing answer is for the gate on failures
        if not math.isfinite(pair.canary.seconds) or not math.isfinite(pair.stable.seconds):
            return None
        return float(pair.canary.seconds > limit_s) - float(pair.stable.seconds > limit_s)

    return judge


def wrong(pair: Pair) -> float | None:
    """1 where only the canary was wrong. None while a label is needed and missing.

    An answer that did not come is a wrong one for the canary; for the stable version it counts as right, so that its
    bad day earns the canary nothing.
    """
    if pair.agree:
        return 0.0
    if not pair.canary.came:
        return 1.0
    if pair.truth is None:
        return None
    stable_right = not pair.stable.came or pair.stable.label == pair.truth
    return float(stable_right) - float(pair.canary.label == pair.truth)


@dataclass(frozen=True)
class Reading:
    """One gate at one moment. worse, harmless: evidence; pairs: judged; waiting: not yet, for want of a label, say."""

    gate: str
    decision: Decision
    why: str
    worse: float
    harmless: float
    pairs: int
    waiting: int


class Gate:
    """One question.

    Args:
        name: what it asks about.
        judge: a pair to d in [-1, 1], or None while that cannot be said. Pairs are judged in the order in which they
            came, and one that cannot be judged holds up those behind it: else the easy ones would be counted first.
        margin: the difference in shares of all pairs that would be too much.
        alpha: the share of harmless versions that it may stop. beta: of harmful ones (by `margin`) that it may pass.
        silence: seconds without a new pair after which it holds whatever it knows. clock: for tests.

    Raises ValueError for a margin, an alpha or a beta that is out of range.
    """

    def __init__(
        self, name: str, judge: Callable[[Pair], float | None], margin: float, *, alpha: float = ALPHA,
        beta: float = ALPHA, silence: float = 30.0, clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        if not 0 < margin <= 0.2 or not 0 < alpha < 1 or not 0 < beta < 1:
            raise ValueError(
                f"{name}: a margin in (0, 0.2], alpha and beta in (0, 1), please; got {margin}, {alpha}, {beta}."
            )
        self.name, self.margin, self.alpha, self.beta, self.silence = name, margin, alpha, beta, silence
        self._judge, self._clock = judge, clock
        self._worse, self._harmless = Evidence(0.0), Evidence(-margin)
        self._queue: deque[Pair] = deque()
        self._heard: float | None = None

    def add(self, pair: Pair) -> None:
        """A new pair. Its label may come later: `refresh` looks again."""
        self._queue.append(pair)
        self._heard = self._clock()
        self.refresh()

    def refresh(self) -> None:
        """Judge what can be judged by now."""
        while self._queue and (d := self._judge(self._queue[0])) is not None:
            self._worse.add(d)
            self._harmless.add(-d)
            self._queue.popleft()

    @property
    def reading(self) -> Reading:
        """What it says now."""
        stop, needed, worse, harmless = 1 / self.alpha, 1 / self.beta, self._worse.best, self._harmless.best
        quiet = None if self._heard is None else self._clock() - self._heard
        if worse >= stop:
            decision, why = Decision.STOP, f"worse than the stable version (evidence {worse:.3g}, needed {stop:.3g})"
        elif quiet is None:
            decision, why = Decision.HOLD, "no data"
        elif not quiet <= self.silence:
            decision, why = Decision.HOLD, f"nothing heard for {quiet:.0f} s"
        elif self._queue and len(self._queue) > self._worse.n // 10:
            decision, why = Decision.HOLD, f"{len(self._queue)} pairs cannot be judged yet"
        elif harmless >= needed:
            decision = Decision.PASS
            why = f"not worse by {self.margin * 100:g} points (evidence {harmless:.3g}, needed {needed:.3g})"
        else:
            decision, why = Decision.HOLD, f"evidence {harmless:.3g} of {needed:.3g} after {self._worse.n} pairs"
        return Reading(self.name, decision, why, worse, harmless, self._worse.n, len(self._queue))


def standard(
    limit_s: float, *, quality: float = 0.02, failures: float = 0.02, slow: float = 0.05, alpha: float = ALPHA,
    **options,
) -> list[Gate]:  # fmt: skip
    """The three gates of the book: together they stop at most `alpha` of the harmless versions.

    limit_s: the contract's latency. quality, failures, slow: margins, as shares of all pairs. options: those of Gate.
    """
    questions = {"quality": (wrong, quality), "failures": (failed, failures), "latency": (slower(limit_s), slow)}
    return [Gate(name, judge, m, alpha=alpha / len(questions), **options) for name, (judge, m) in questions.items()]


def together(readings: Iterable[Reading], required: Collection[str]) -> Decision:
    """One decision: stop if any gate says so, pass if every required gate was read and passes, else hold."""
    found = list(readings)
    if any(reading.decision is Decision.STOP for reading in found):
        return Decision.STOP
    passed = {reading.gate for reading in found if reading.decision is Decision.PASS}
    held = {reading.gate for reading in found if reading.decision is Decision.HOLD}
    return Decision.PASS if required and set(required) <= passed - held else Decision.HOLD
