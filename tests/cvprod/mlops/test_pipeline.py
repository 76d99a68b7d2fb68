"""The pipeline, killed for real: before and after the effect of each step, with and without idempotency keys."""

import json
import shutil

import pytest

pytest.importorskip("dagster", reason="needs dagster")
pytest.importorskip("mlflow", reason="needs mlflow")

from cvprod.mlops import heads, steps
from cvprod.stack.pipeline import Pipelines

ONCE = dict.fromkeys(steps.EFFECTS, 1)


@pytest.fixture(scope="module")
def pipelines():
    with Pipelines() as started:
        yield started


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site") / "prepared"
    steps.prepare(folder)
    return folder


@pytest.fixture
def site(prepared, tmp_path):
    """A site that is ready for its first event, each time a new one."""
    shutil.copytree(prepared, tmp_path / "site")
    return steps.Site(tmp_path / "site")


@pytest.fixture(scope="module")
def undisturbed(pipelines, prepared, tmp_path_factory):
    """The state after both events when nobody is killed, and what was said."""
    folder = tmp_path_factory.mktemp("undisturbed") / "site"
    shutil.copytree(prepared, folder)
    site, states = steps.Site(folder), [steps.Site(folder).state()]
    for event in ("drift-1", "drift-2"):
        ended = pipelines.run(folder, event)
        assert ended.status == 0, ended.said
        states.append(site.state())
    return site, states


def test_a_drift_becomes_a_new_champion_that_recovers(undisturbed):
    site, (before, after, _) = undisturbed
    assert before["champion"] == "first" and after["champion"] == "drift-1" and after["candidate"] is None
    assert after["served_sha256"] == after["champion_sha256"] != before["champion_sha256"]
    assert site.effects("drift-1") == ONCE
    old = heads.shipped().head
    new = heads.head_of(site.registry.file(site.registry.version_of("drift-1")))
    drifted, usual = site.data("audit"), site.data("reference test")
    wanted = old.accuracy(usual.x, usual.y)
    assert old.accuracy(drifted.x, drifted.y) < wanted - 0.05
    assert new.accuracy(drifted.x, drifted.y) > wanted - 0.02
    assert new.accuracy(usual.x, usual.y) > wanted - 0.02, "and it has not forgotten yesterday"


def test_a_bad_retraining_is_refused_and_nothing_changes(undisturbed):
    site, (_, before, after) = undisturbed
    assert after == before
    found = steps.outcome(site, "drift-2")
    assert found["decision"] == "refused" and found["version"] is None and any("fresh" in why for why in found["why"])
    assert site.effects("drift-2") == ONCE | {"register": 0, "canary": 0}


def test_an_event_that_is_done_is_done(undisturbed, pipelines):
    site, states = undisturbed
    before = site.outside.log()
    assert pipelines.run(site.folder, "drift-1").status == 0
    assert site.outside.log() == before and site.state() == states[-1] and site.effects("drift-1") == ONCE


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", steps.EFFECTS)
def test_killed_anywhere_it_ends_in_the_same_state_with_nothing_done_twice(step, when, site, pipelines, undisturbed):
    killed = pipelines.run(site.folder, "drift-1", kill=f"{step}:{when}")
    assert killed.killed, killed.said
    assert site.effects("drift-1")[step] == (when == "after")
    ended = pipelines.run(site.folder, "drift-1")
    assert ended.status == 0, ended.said
    assert site.effects("drift-1") == ONCE
    assert site.state() == undisturbed[1][1]


@pytest.mark.parametrize("step", steps.EFFECTS)
def test_without_keys_every_step_is_done_twice(step, site, pipelines):
    """The orchestrator cannot know of an effect that its process had no time to report."""
    assert pipelines.run(site.folder, "drift-1", kill=f"{step}:after", keys=False).killed
    ended = pipelines.run(site.folder, "drift-1", keys=False)
    assert ended.status == 0, ended.said
    assert site.effects("drift-1") == ONCE | {step: 2}


def test_killed_again_and_again(site, pipelines, undisturbed):
    for kill in ("retrain:after", "retrain:after", "register:before", "finish:after"):
        assert pipelines.run(site.folder, "drift-1", kill=kill).killed
    assert pipelines.run(site.folder, "drift-1").status == 0
    assert site.effects("drift-1") == ONCE and site.state() == undisturbed[1][1]


def test_two_starters_do_it_once(site, pipelines, undisturbed):
    both = [pipelines.start(site.folder, "drift-1") for _ in range(2)]
    ended = [one.wait() for one in both]
    assert [one.status for one in ended] == [0, 0], [one.said for one in ended]
    told = [json.loads(one.said.splitlines()[-1]) for one in ended]
    assert told[0] == told[1] and told[0]["decision"] == "promoted"
    assert site.effects("drift-1") == ONCE and site.state() == undisturbed[1][1]


def test_a_failing_step_says_which_and_goes_on_when_it_is_mended(site, pipelines):
    window = site.folder / "data" / "window.npz"
    window.rename(window.with_suffix(".away"))
    failed = pipelines.run(site.folder, "drift-1")
    assert failed.status == 1 and "'label' failed" in failed.said
    window.with_suffix(".away").rename(window)
    assert pipelines.run(site.folder, "drift-1").status == 0
    assert site.effects("drift-1") == ONCE


def test_an_event_nobody_saw_is_named(site, pipelines):
    ended = pipelines.run(site.folder, "drift-9")
    assert ended.status == 1 and "drift-9" in ended.said and "drift-1" in ended.said


def test_a_run_left_started_is_reaped(site, pipelines):
    """Dagster believes in a run whose process is gone, until somebody tells it."""
    import sqlite3

    def statuses():
        with sqlite3.connect(site.folder / "dagster/history/runs.db") as book:
            return [row[0] for row in book.execute("SELECT status FROM runs ORDER BY id")]

    assert pipelines.run(site.folder, "drift-1", kill="gate:before").killed
    assert statuses() == ["STARTED"]
    assert pipelines.run(site.folder, "drift-1").status == 0
    assert statuses() == ["FAILURE", "SUCCESS"]
