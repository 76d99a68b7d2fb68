"""The batching loop: who is served with whom, and when."""

import time

import numpy as np
import pytest

from cvprod.realtime import batching

TILES = np.arange(16)


def slow(batch):
    time.sleep(0.004 + 0.001 * len(batch))


def test_everyone_is_served_in_order_and_no_batch_is_too_large():
    due = np.sort(np.random.default_rng(0).uniform(0, 0.3, 80))
    load, sizes = batching.serve(slow, TILES, due, most=8)
    assert sizes.sum() == 80 and sizes.max() <= 8
    assert (load.started >= due).all() and (np.diff(load.done) >= 0).all() and (load.done > load.started).all()


def test_batches_fill_by_themselves_under_load_and_stay_small_without():
    quiet = batching.serve(slow, TILES, np.arange(20) * 0.02, most=8)[1]
    busy = batching.serve(slow, TILES, np.arange(100) * 0.001, most=8)[1]
    assert quiet.mean() < 1.3 and busy.mean() > 4


def test_static_waits_until_full_and_the_last_ones_for_nobody():
    load, sizes = batching.serve(slow, TILES, np.arange(10) * 0.01, most=4, wait=np.inf)
    assert sizes.tolist() == [4, 4, 2]
    assert load.started[0] >= 0.03 and load.latency.p(100) < 0.1


def test_a_timer_bounds_the_wait():
    load, sizes = batching.serve(slow, TILES, np.array([0.0, 0.005, 0.2]), most=8, wait=0.02)
    assert sizes.tolist() == [2, 1] and 0.02 <= load.started[0] < 0.05


def test_wrong_arguments_are_refused():
    for bad in (dict(most=0), dict(wait=-1), dict(most=32)):
        with pytest.raises(ValueError, match="needs ascending"):
            batching.serve(slow, TILES, np.array([0.0, 1.0]), **bad)
    with pytest.raises(ValueError, match="needs ascending"):
        batching.serve(slow, TILES, np.array([1.0, 0.0]))
