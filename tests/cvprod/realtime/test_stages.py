"""A pipeline keeps order, overlaps its stages, bounds what waits, and ends whatever happens."""

import threading
import time
from itertools import pairwise

import numpy as np
import pytest

from cvprod.realtime.stages import Pipeline, Stage


def nap(seconds):
    def work(item):
        time.sleep(seconds)
        return item + 1

    return work


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_the_order_of_the_items(workers):
    def uneven(item):
        time.sleep(0.003 * (item % 3))
        return item * 10

    done = Pipeline([Stage("a", uneven, workers), Stage("b", lambda x: x + 1, workers)]).run(range(20))
    assert done.results == [10 * i + 1 for i in range(20)]
    assert len(done.spans) == 40 and all(s.end >= s.start for s in done.spans)


def test_stages_overlap_so_the_slowest_sets_the_rate():
    done = Pipeline([Stage("a", nap(0.01)), Stage("b", nap(0.02)), Stage("c", nap(0.01))]).run(range(25))
    assert 0.7 / 0.02 < done.rate <= 1.05 / 0.02  # one after the other would be 25 a second
    busy = done.busy()
    assert busy["b"] > 0.8 and busy["a"] < 0.75 > busy["c"]


def test_no_worker_does_two_things_at_once_and_no_item_skips_ahead():
    done = Pipeline([Stage("a", nap(0.002)), Stage("b", nap(0.004), 2)]).run(range(15))
    for stage in ("a", "b"):
        for worker in (0, 1):
            mine = [s for s in done.spans if (s.stage, s.worker) == (stage, worker)]
            assert all(x.end <= y.start for x, y in pairwise(mine))
    ends = {s.item: s.end for s in done.spans if s.stage == "a"}
    assert all(s.start >= ends[s.item] for s in done.spans if s.stage == "b")


def test_a_slow_stage_holds_back_those_before_it():
    inside, most, lock = 0, 0, threading.Lock()

    def enter(item):
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        return item

    def leave(item):
        nonlocal inside
        time.sleep(0.004)
        with lock:
            inside -= 1
        return item

    Pipeline([Stage("in", enter), Stage("out", leave)], capacity=2).run(range(40))
    assert most <= 2 + 2  # two in the queue, one in each stage's hands


def test_a_camera_sets_the_pace_and_lateness_counts_from_when_an_item_was_due():
    due = np.arange(10) * 0.01
    done = Pipeline([Stage("slow", nap(0.02))], capacity=1).run(range(10), due=due)
    assert np.array_equal(done.due, due)
    waited = done.done - done.due
    assert waited[-1] > 0.08 and waited[-1] > 3 * waited[0]
    quick = Pipeline([Stage("quick", nap(0.001))]).run(range(10), due=due)
    assert quick.done[-1] >= due[-1]


@pytest.mark.parametrize("stage", [0, 1])
def test_an_error_ends_the_run_and_is_raised(stage):
    before = threading.active_count()

    def breaks(item):
        if item == 5:
            raise ArithmeticError("item five")
        return item

    fns = [breaks if stage == i else (lambda x: x) for i in range(2)]
    with pytest.raises(ArithmeticError, match="item five"):
        Pipeline([Stage("a", fns[0], 2), Stage("b", fns[1])], capacity=1).run(range(200))
    time.sleep(0.05)
    assert threading.active_count() <= before


def test_wrong_descriptions_are_refused():
    for stages in ([], [Stage("a", str), Stage("a", str)]):
        with pytest.raises(ValueError, match="different names"):
            Pipeline(stages)
    with pytest.raises(ValueError, match="at least one"):
        Pipeline([Stage("a", str, 0)])
    with pytest.raises(ValueError, match="at least one"):
        Pipeline([Stage("a", str)], capacity=0)
    with pytest.raises(ValueError, match="needs items"):
        Pipeline([Stage("a", str)]).run([])
    with pytest.raises(ValueError, match="due times"):
        Pipeline([Stage("a", str)]).run([1, 2], due=np.array([0.0]))
