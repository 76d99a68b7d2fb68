"""A roll-out with a router that only notes: where the traffic ends, whatever happens on the way."""

import pytest

from cvprod.rollout import canary, gates, trail
from cvprod.rollout.gates import Answer, Pair
from cvprod.rollout.router import RouterError

OK, OTHER = Answer(200, "clean", 0.002), Answer(200, "scratches", 0.002)
GOOD, BAD = Pair(OK, OK, "clean"), Pair(OK, OTHER, "clean")
PLAN = canary.Plan(pairs=30, patience=1000, silence=0.05)


class Router:
    def __init__(self, breaks_at=None):
        self.sent, self.breaks_at = [], breaks_at

    def send(self, share):
        if share == self.breaks_at:
            raise RouterError("no such server")
        self.sent.append(share)


def run(tmp_path, pairs, router=None, plan=PLAN):
    router = router or Router()
    diary = trail.Trail(tmp_path / "trail.jsonl")
    return canary.Rollout("1.1.0", gates.standard(0.01), router, diary, plan).run(pairs), router


def test_a_good_version_takes_every_step_and_then_everything(tmp_path):
    outcome, router = run(tmp_path, [GOOD] * 900)
    assert outcome.decision == "promoted" and router.sent == [0.05, 0.25, 0.5, 1.0]
    assert outcome.pairs < 400 and outcome.labels == 0
    entries = trail.read(tmp_path / "trail.jsonl")
    assert [entry["event"] for entry in entries] == ["start", "step", "step", "promoted"]
    assert all(name in entries[-1]["why"] for name in ("quality", "failures", "latency"))


@pytest.mark.parametrize(
    "bad", [BAD, Pair(OK, Answer(500), "clean"), Pair(OK, Answer(200, "clean", 0.5), "clean")],
    ids=["wrong", "failing", "slow"],
)  # fmt: skip
def test_a_bad_version_goes_back_and_the_trail_says_why(tmp_path, bad):
    outcome, router = run(tmp_path, ([GOOD] * 4 + [bad]) * 300)
    assert outcome.decision == "rolled back" and router.sent[-1] == 0 and 1.0 not in router.sent
    last = trail.read(tmp_path / "trail.jsonl")[-1]
    assert last["event"] == "rolled back" and last["share"] == 0 and "worse" in last["why"]


def dies():
    yield from [GOOD] * 500
    raise ConnectionResetError("gone")


@pytest.mark.parametrize(
    ("pairs", "why"),
    [
        ([], "no more pairs after 0"),
        ([GOOD] * 100, "no more pairs after 100"),
        ([Pair(OK, OTHER)] * 2000, "not proven within 1000"),
        ([Pair(OK, Answer(200, "clean", float("nan")), "clean")] * 2000, "not proven within 1000"),
        (dies(), "ConnectionResetError: gone"),
    ],
    ids=["nothing", "little", "no labels", "NaN", "a source that dies"],
)
def test_whatever_is_missing_never_promotes(tmp_path, pairs, why):
    outcome, router = run(tmp_path, pairs, plan=canary.Plan(pairs=200, patience=1000))
    assert outcome.decision != "promoted" and why in outcome.why
    assert router.sent[-1] == 0 and 1.0 not in router.sent


def test_silence_ends_it(tmp_path):
    def silent():
        yield from [GOOD] * 50
        while True:
            yield None

    outcome, router = run(tmp_path, silent())
    assert outcome.decision == "given up" and "no pair for" in outcome.why and router.sent[-1] == 0


@pytest.mark.parametrize("share", [0.05, 0.25, 1.0])
def test_a_router_that_does_not_obey_leads_back(tmp_path, share):
    outcome, router = run(tmp_path, [GOOD] * 900, Router(breaks_at=share))
    assert outcome.decision == "rolled back" and "no such server" in outcome.why and router.sent[-1] == 0
    assert "router failed" in [entry["event"] for entry in trail.read(tmp_path / "trail.jsonl")]


def test_when_even_the_way_back_fails_somebody_hears_of_it(tmp_path):
    with pytest.raises(RouterError):
        run(tmp_path, [BAD] * 300, Router(breaks_at=0.0))
    assert trail.read(tmp_path / "trail.jsonl")[-1]["event"] == "router failed"


def test_an_interrupted_roll_out_leaves_no_canary_behind(tmp_path):
    def interrupted():
        yield from [GOOD] * 100
        raise KeyboardInterrupt

    router = Router()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, interrupted(), router)
    assert router.sent[-1] == 0


def test_labels_that_come_later_are_used(tmp_path):
    late = [Pair(OK, OTHER) for _ in range(40)]

    def source():
        yield from late
        for pair in late:
            pair.truth = "clean"
        while True:
            yield None

    outcome, _ = run(tmp_path, source(), plan=canary.Plan(pairs=100, patience=1000, silence=5))
    assert outcome.decision == "rolled back" and outcome.labels == 40


def test_wrong_plans_are_refused(tmp_path):
    for steps in ((), (0.5, 0.25), (0.0, 0.5), (0.5, 1.0), (0.1, 0.1)):
        with pytest.raises(ValueError, match="steps"):
            canary.Plan(steps=steps)
    with pytest.raises(ValueError, match="patience"):
        canary.Plan(pairs=100, patience=200)
    with pytest.raises(ValueError, match="without gates"):
        canary.Rollout("1", [], Router(), trail.Trail(tmp_path / "t"))
