"""What a gate makes of pairs, and above all of what is missing."""

import itertools

import numpy as np
import pytest

from cvprod.rollout import gates
from cvprod.rollout.gates import Answer, Decision, Gate, Pair

OK, OTHER, NONE = Answer(200, "clean", 0.002), Answer(200, "scratches", 0.002), Answer(503)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def fed(pairs, judge=gates.wrong, **options):
    gate = Gate("quality", judge, 0.02, **options)
    for pair in pairs:
        gate.add(pair)
    return gate


@pytest.mark.parametrize(
    ("stable", "canary", "truth", "d"),
    [
        (OK, OK, None, 0), (OK, OK, "scratches", 0), (OK, OTHER, "clean", 1), (OK, OTHER, "scratches", -1),
        (OK, OTHER, "patches", 0), (OK, OTHER, None, None), (OK, NONE, None, 1), (NONE, OK, "clean", 0),
        (NONE, OTHER, "clean", 1), (NONE, OK, None, None), (NONE, NONE, None, 1),
    ],
)  # fmt: skip
def test_quality_of_a_pair(stable, canary, truth, d):
    assert gates.wrong(Pair(stable, canary, truth)) == d


def test_failures_and_latency_of_a_pair():
    assert gates.failed(Pair(OK, NONE)) == 1 and gates.failed(Pair(NONE, OK)) == -1 and gates.failed(Pair(OK, OK)) == 0
    late, judge = Answer(200, "clean", 0.02), gates.slower(0.01)
    assert judge(Pair(OK, late)) == 1 and judge(Pair(late, OK)) == -1 and judge(Pair(late, late)) == 0
    assert judge(Pair(OK, NONE)) == 0, "what never came is not slow"
    assert judge(Pair(OK, Answer(200, "clean"))) is None and judge(Pair(Answer(200, "clean", np.inf), OK)) is None


def test_good_passes_bad_stops_and_little_holds():
    assert fed([Pair(OK, OK)] * 400).reading.decision is Decision.PASS
    assert fed([Pair(OK, OTHER, "clean")] * 40).reading.decision is Decision.STOP
    assert fed([Pair(OK, OK)] * 40).reading.decision is Decision.HOLD


def test_without_data_it_holds():
    reading = fed([]).reading
    assert reading.decision is Decision.HOLD and reading.why == "no data"


def test_a_missing_label_holds_and_holds_up_what_came_after():
    """Agreements would be judged at once, and look like proof of harmlessness while the harm waits for its labels."""
    first = Pair(OK, OTHER)
    gate = fed([first, *[Pair(OK, OK)] * 2000])
    assert gate.reading.decision is Decision.HOLD and gate.reading.pairs == 0 and gate.reading.waiting == 2001
    first.truth = "scratches"
    gate.refresh()
    assert gate.reading.decision is Decision.PASS and gate.reading.waiting == 0


def test_labels_that_stop_coming_hold_a_gate_that_had_passed():
    gate = fed([Pair(OK, OK)] * 400)
    for _ in range(60):
        gate.add(Pair(OK, OTHER))
    assert gate.reading.decision is Decision.HOLD and "cannot be judged" in gate.reading.why


def test_nan_never_passes():
    gate = fed([Pair(OK, Answer(200, "clean", float("nan")))] * 5000, gates.slower(0.01))
    assert gate.reading.decision is Decision.HOLD and gate.reading.pairs == 0


def test_silence_holds_and_harm_outlives_it():
    clock = Clock()
    quiet = fed([Pair(OK, OK)] * 400, silence=30, clock=clock)
    harmful = fed([Pair(OK, OTHER, "clean")] * 40, silence=30, clock=clock)
    assert quiet.reading.decision is Decision.PASS
    clock.now = 31
    assert quiet.reading.decision is Decision.HOLD and "nothing heard for 31 s" in quiet.reading.why
    assert harmful.reading.decision is Decision.STOP
    clock.now = float("nan")
    assert quiet.reading.decision is Decision.HOLD, "a broken clock is silence"


def test_together_needs_every_required_gate_and_one_is_enough_to_stop():
    passed, held, stopped = (
        fed(pairs).reading for pairs in ([Pair(OK, OK)] * 400, [], [Pair(OK, OTHER, "clean")] * 40)
    )
    for readings in itertools.permutations([passed, held, stopped]):
        assert gates.together(readings, ["quality"]) is Decision.STOP
    assert gates.together([passed], ["quality"]) is Decision.PASS
    assert gates.together([passed], ["quality", "latency"]) is Decision.HOLD, "a gate that nobody read"
    assert gates.together([], ["quality"]) is gates.together([passed], []) is Decision.HOLD
    assert gates.together([held], ["quality"]) is Decision.HOLD


def test_three_gates_share_alpha():
    """Of harmless versions that are late, failing and wrong by chance, all three together stop few."""
    random, stopped = np.random.default_rng(5), 0
    for _ in range(60):
        judges = gates.standard(0.01)
        for labels, late, lost in zip(
            random.random((300, 2)) < 0.04, random.random((300, 2)) < 0.05, random.random((300, 2)) < 0.01, strict=True
        ):
            answers = [
                Answer(503 if lost[i] else 200, "scratches" if labels[i] else "clean", 0.02 if late[i] else 0.002)
                for i in (0, 1)
            ]
            for judge in judges:
                judge.add(Pair(*answers, "clean"))
        stopped += any(judge.reading.decision is Decision.STOP for judge in judges)
    assert stopped <= 8  # of 60, at 5 %: more with a probability below 1 in 200


@pytest.mark.parametrize(("margin", "options"), [(0, {}), (0.5, {}), (0.02, {"alpha": 0}), (0.02, {"beta": 1.5})])
def test_impossible_gates_are_refused(margin, options):
    with pytest.raises(ValueError, match="please"):
        Gate("quality", gates.wrong, margin, **options)
