"""Ways of doing the same work give the same answers, and the probe of the lock tells Python from C."""

import asyncio
import time

import numpy as np
import pytest

from cvprod.realtime import concurrency
from cvprod.traffic import hostile

JPEG = hostile.encode(hostile.GREY, "JPEG")


def test_every_way_does_all_the_work_in_every_turn():
    works = {"texture": concurrency.texture, "inspect": concurrency.inspect}
    found = concurrency.rates(works, [JPEG] * 16, turns=3)
    assert list(found) == list(works)
    for ways in found.values():
        assert list(ways) == ["one thread", "asyncio", "threads", "processes"]
        assert all(rate.shape == (3,) and (rate > 0).all() for rate in ways.values())


@pytest.mark.parametrize(("jpegs", "turns"), [([], 1), ([JPEG], 0)])
def test_nothing_to_measure_is_said(jpegs, turns):
    with pytest.raises(ValueError, match=f"not {len(jpegs)} and {turns}"):
        concurrency.rates({"texture": concurrency.texture}, jpegs, turns=turns)


def test_an_error_in_the_work_is_raised_here():
    with pytest.raises(Exception, match=r".+"):
        concurrency.rates({"inspect": concurrency.inspect}, [b"no picture"] * 8)


def test_the_lock_probe_tells_sleep_from_python():
    found = concurrency.lock_shares({"sleep": lambda: time.sleep(0.002), "Python": lambda: sum(range(50_000))})
    assert list(found) == ["sleep", "Python"] and found["Python"] > found["sleep"] + 0.1


@pytest.mark.parametrize("wrong", [{"fns": {}}, {"turns": 0}, {"seconds": 0}])
def test_the_lock_probe_says_what_it_needs(wrong):
    with pytest.raises(ValueError, match="lock_shares needs"):
        concurrency.lock_shares(**({"fns": {"nothing": int}} | wrong))


def test_the_lock_probe_hides_no_error():
    with pytest.raises(ZeroDivisionError):
        concurrency.lock_shares({"broken": lambda: 1 / 0})


def test_a_coroutine_is_late_when_the_loop_computes():
    def work():
        time.sleep(0.05)

    inline = asyncio.run(concurrency.heartbeat(work, in_thread=False, beats=5))
    assert inline.shape == (5,) and np.median(inline) > 0.03
    assert concurrency.lateness(work, in_thread=True, beats=9) < np.median(inline) * 1e3


def test_slow_work_is_judged_by_as_many_wakes_and_what_it_raises_ends_the_measurement():
    for seconds in (0.0, 0.03):
        late = asyncio.run(concurrency.heartbeat(lambda s=seconds: time.sleep(s), in_thread=False, beats=4))
        assert late.size == 4
    for in_thread in (False, True):
        with pytest.raises(ZeroDivisionError):
            asyncio.run(concurrency.heartbeat(lambda: 1 / 0, in_thread=in_thread, beats=4))


def test_a_sleeper_needs_three_turns_of_a_busy_loop():
    took = []

    def work():
        begun = time.perf_counter()
        time.sleep(0.02)
        took.append(time.perf_counter() - begun)

    late = np.median(asyncio.run(concurrency.heartbeat(work, in_thread=False, beats=12)))
    assert 1.5 * min(took) < late < 3.5 * max(took)
