"""Load generators against arithmetic: known service times, known stalls, known queues."""

import itertools
import time

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from cvprod import measure
from cvprod.traffic.load import Load, calls, closed_loop, open_loop, schedule, stalling


def test_closed_loop_asks_as_fast_as_answers_come():
    load = closed_loop(lambda: time.sleep(0.01), seconds=0.3)
    assert 15 <= load.done.size <= 30
    assert load.latency.p50_ms >= 10
    assert (load.started[1:] >= load.done[:-1]).all()  # one client never overlaps itself
    assert load.rate == pytest.approx(load.done.size / load.done.max())


def test_clients_overlap_and_think_time_slows_each_of_them():
    one = closed_loop(lambda: time.sleep(0.01), seconds=0.3)
    four = closed_loop(lambda: time.sleep(0.01), seconds=0.3, clients=4)
    thinking = closed_loop(lambda: time.sleep(0.01), seconds=0.3, think=0.03)
    assert four.done.size > 2.5 * one.done.size > 4 * thinking.done.size


def test_schedules_have_their_rate_and_a_poisson_one_is_irregular():
    even, random = schedule(100, 2), schedule(500, 20, poisson=True, seed=1)
    assert even.size == 200 and np.allclose(np.diff(even), 0.01)
    assert random.size == 10_000 and random.max() < 20
    gaps = np.diff(random)
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.05)  # as an exponential's
    assert np.array_equal(schedule(50, 2, poisson=True, seed=3), schedule(50, 2, poisson=True, seed=3))


@given(rate=st.floats(0.01, 1e5), calls=st.floats(1, 300), seed=st.integers(0, 2**32 - 1), poisson=st.booleans())
@example(rate=1.0, calls=6.0, seed=122, poisson=True)  # its first gap of an exponential stream is 6.35 mean gaps
def test_a_schedule_keeps_its_promise_for_every_seed_and_rate(rate, calls, seed, poisson):
    assume(rate * (calls / rate) >= 1)
    due = schedule(rate, calls / rate, poisson=poisson, seed=seed)
    assert int(calls) - 1 <= due.size <= int(calls) + 1 and due.size >= 1
    assert (np.diff(due) >= 0).all() and due[0] >= 0 and due[-1] <= calls / rate


@given(n=st.integers(1, 300), rate=st.floats(0.01, 1e5), seed=st.integers(0, 2**32 - 1), poisson=st.booleans())
def test_so_many_calls_are_so_many_at_any_speed(n, rate, seed, poisson):
    due, slower = (calls(n, r, poisson=poisson, seed=seed) for r in (rate, rate / 100))
    assert due.size == n and (np.diff(due) >= 0).all() and 0 <= due[0] <= due[-1] <= n / rate
    assert np.allclose(slower, due * 100)


@pytest.mark.parametrize(("n", "rate"), [(0, 1), (5, 0), (5, -1), (5, float("nan")), (5, float("inf"))])
def test_no_calls_are_refused(n, rate):
    with pytest.raises(ValueError, match="n >= 1"):
        calls(n, rate)


@pytest.mark.parametrize(("rate", "seconds"), [(0, 1), (-1, 1), (1, 0), (1, 0.5)])
def test_an_empty_schedule_is_refused(rate, seconds):
    with pytest.raises(ValueError, match="at least one call"):
        schedule(rate, seconds)


def test_open_loop_starts_on_time_while_the_callee_keeps_up():
    load = open_loop(lambda: None, schedule(200, 0.5))
    lateness = load.started - load.due
    assert (lateness >= 0).all()
    assert np.median(lateness) < 0.005 or not measure.undisturbed()
    assert load.service.p50_ms <= load.latency.p50_ms


def test_overload_makes_the_queue_grow_as_arithmetic_says():
    """Every 5 ms a call that takes 10 ms: the n-th waits about n * 5 ms. Service time alone shows nothing of it."""
    load = open_loop(lambda: time.sleep(0.01), schedule(200, 0.3))
    waits = load.started - load.due
    assert waits[-1] > 0.8 * 0.005 * load.due.size
    assert load.service.p99_ms < load.latency.p99_ms / 5


def test_two_workers_halve_the_overload():
    one = open_loop(lambda: time.sleep(0.01), schedule(150, 0.3))
    two = open_loop(lambda: time.sleep(0.01), schedule(150, 0.3), workers=2)
    assert two.latency.p50_ms < one.latency.p50_ms / 2


def test_a_planted_stall_hits_one_call_in_the_closed_loop_and_every_waiting_one_in_the_open():
    """Coordinated omission: the same fault, seen by one sample or by all that were due while it lasted."""
    work, stall, rate = 0.001, 0.2, 200
    closed = closed_loop(stalling(lambda: time.sleep(work), after=0.1, seconds=stall), seconds=0.8, think=0.004)
    opened = open_loop(stalling(lambda: time.sleep(work), after=0.1, seconds=stall), schedule(rate, 0.8))
    slow = {name: int((load.latency.samples > 0.02).sum()) for name, load in {"c": closed, "o": opened}.items()}
    assert slow["c"] <= 3
    assert slow["o"] >= 0.6 * stall * rate
    assert opened.latency.p95_ms > 50 > closed.latency.p95_ms


def test_a_stall_strikes_once_and_passes_the_answer_on():
    call = stalling(lambda: 7, after=0.0, seconds=0.05)
    took = []
    for _ in range(3):
        start = time.perf_counter()
        assert call() == 7
        took.append(time.perf_counter() - start)
    assert took[0] > 0.05 > max(took[1:])


def test_an_error_in_the_callee_reaches_the_caller():
    counter = itertools.count()

    def fails_at_third():
        if next(counter) == 2:
            raise RuntimeError("third")

    with pytest.raises(RuntimeError, match="third"):
        open_loop(fails_at_third, schedule(100, 0.1))
    counter = itertools.count()
    with pytest.raises(RuntimeError, match="third"):
        closed_loop(fails_at_third, seconds=0.1)


@pytest.mark.parametrize("due", [[], [1.0, 0.5], [-1.0]])
def test_an_open_loop_needs_a_proper_schedule(due):
    with pytest.raises(ValueError, match="ascending"):
        open_loop(lambda: None, np.array(due))


def test_nonsense_is_refused():
    for wrong in ({"seconds": 0}, {"seconds": 1, "clients": 0}):
        with pytest.raises(ValueError, match="at least one client"):
            closed_loop(lambda: None, **wrong)


def test_load_counts_latency_from_due_and_service_from_start():
    load = Load(np.array([0.0, 1.0]), np.array([0.0, 3.0]), np.array([2.0, 4.0]))
    assert load.latency.samples.tolist() == [2, 3] and load.service.samples.tolist() == [2, 1]
    assert load.rate == 0.5
