"""A roll-out by steps: the canary gets more while its gates hold, everything when they pass, nothing when one stops.

    rollout = Rollout("1.1.0", gates.standard(limit_s=0.01), router, trail)
    outcome = rollout.run(audit.pairs(stable, canary, tiles))

Every way out that is not a proof leads back to the stable version: a gate that stops, patience that is used up, a
source of pairs that ends or fails, a router that does not do as it was told.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cvprod.rollout.gates import Decision, Gate, Pair, Reading, together
from cvprod.rollout.router import Router, RouterError
from cvprod.rollout.trail import Trail

PROMOTED, ROLLED_BACK, GIVEN_UP = "promoted", "rolled back", "given up"


@dataclass(frozen=True)
class Plan:
    """How far and how fast.

    steps: the canary's shares before it gets everything. pairs: at least so many at each step. patience: a version
    that is not proven after so many goes back; silence: so does one of which nothing is heard for so many seconds.
    """

    steps: tuple[float, ...] = (0.05, 0.25, 0.5)
    pairs: int = 60
    patience: int = 4000
    silence: float = 30.0

    def __post_init__(self) -> None:
        if not self.steps or list(self.steps) != sorted(set(self.steps)) or not 0 < self.steps[0] <= self.steps[-1] < 1:
            raise ValueError(f"steps must rise between 0 and 1, not {self.steps}.")
        if self.pairs < 1 or self.patience < self.pairs * len(self.steps) or not self.silence > 0:
            raise ValueError("each step wants a pair at least, patience enough for all of them, and silence > 0.")


@dataclass(frozen=True)
class Outcome:
    """How it ended.

    decision: "promoted", "rolled back" or "given up". labels: pairs that somebody had to look at, because the versions
    disagreed. switch_s: from the decision until the router had confirmed the new weights.
    """

    version: str
    decision: str
    why: str
    pairs: int
    labels: int
    seconds: float
    switch_s: float
    readings: tuple[Reading, ...]


class Rollout:
    """One version's way to all of the traffic, or back. Raises ValueError where there is no gate."""

    def __init__(
        self, version: str, gates: Sequence[Gate], router: Router, trail: Trail, plan: Plan | None = None
    ) -> None:
        if not gates:
            raise ValueError("a roll-out without gates would promote whatever comes.")
        self.version, self.gates, self.router, self.trail = version, list(gates), router, trail
        self.plan, self.pairs = plan or Plan(), 0
        self._disputed: list[Pair] = []
        self._switch_s = 0.0

    def run(self, source: Iterable[Pair | None]) -> Outcome:
        """Take pairs until it is decided. A source says None where it has nothing new, so that silence is noticed.

        Raises RouterError where even the way back failed: then somebody has to be woken.
        """
        began = time.monotonic()
        try:
            decision, why = self._run(source)
        except RouterError as error:
            decision, why = ROLLED_BACK, f"the router failed: {error}"
        except Exception as error:  # whatever it is: the canary must not stay where nobody watches it
            decision, why = ROLLED_BACK, f"the source of pairs failed: {type(error).__name__}: {error}"
        except BaseException:
            self._go(0.0, ROLLED_BACK, "the roll-out was interrupted")
            raise
        seconds = time.monotonic() - began
        if decision == PROMOTED:
            try:
                self._go(1.0, decision, why)
            except RouterError as error:
                decision, why = ROLLED_BACK, f"the router failed: {error}"
        if decision != PROMOTED:
            self._go(0.0, decision, why)
        return Outcome(self.version, decision, why, self.pairs, self.labels, seconds, self._switch_s, self.readings())

    @property
    def labels(self) -> int:
        """Pairs on which the versions disagreed and whose truth is known."""
        return sum(pair.truth is not None for pair in self._disputed)

    def readings(self) -> tuple[Reading, ...]:
        """Every gate, now."""
        for gate in self.gates:
            gate.refresh()  # labels may have come
        return tuple(gate.reading for gate in self.gates)

    def observe(self, pair: Pair | None) -> Decision:
        """One more pair, or none; what the gates say together."""
        if pair is not None:
            self.pairs += 1
            if not pair.agree:
                self._disputed.append(pair)
            for gate in self.gates:
                gate.add(pair)
        return together(self.readings(), {gate.name for gate in self.gates})

    def _run(self, source: Iterable[Pair | None]) -> tuple[str, str]:
        plan, steps = self.plan, list(self.plan.steps)
        self._go(steps.pop(0), "start", f"version {self.version} gets its first requests")
        here, heard = 0, time.monotonic()
        for pair in source:
            decision = self.observe(pair)
            if pair is not None:
                here, heard = here + 1, time.monotonic()
            if decision is Decision.STOP:
                return ROLLED_BACK, self._reasons(Decision.STOP)
            if here >= plan.pairs and steps:
                self._go(steps.pop(0), "step", f"no gate stopped it in {here} pairs")
                here = 0
            elif here >= plan.pairs and decision is Decision.PASS:
                return PROMOTED, self._reasons(Decision.PASS)
            if self.pairs >= plan.patience:
                return GIVEN_UP, f"not proven within {self.pairs} pairs ({self._reasons(Decision.HOLD)})"
            if pair is None and time.monotonic() - heard > plan.silence:
                return GIVEN_UP, f"no pair for {plan.silence:g} s"
        return GIVEN_UP, f"no more pairs after {self.pairs} ({self._reasons(Decision.HOLD)})"

    def _reasons(self, decision: Decision) -> str:
        return "; ".join(f"{r.gate} {r.why}" for r in self.readings() if r.decision is decision) or "nothing holds it"

    def _go(self, share: float, event: str, why: str) -> None:
        began = time.monotonic()
        try:
            self.router.send(share)
        except RouterError as error:
            self.trail.say("router failed", str(error), version=self.version, share=share)
            raise
        self._switch_s = time.monotonic() - began
        self.trail.say(event, why, version=self.version, share=share, pairs=self.pairs, labels=self.labels)
