"""What needs labels: ADWIN against river's, intervals that cover, estimates that are honest where they say so."""

import numpy as np
import pytest

from cvprod.monitoring import accuracy, driftmap
from cvprod.monitoring.adwin import Adwin


def stream(seed, before=0.03, after=0.08, n=3000, more=3000):
    rng = np.random.default_rng(seed)
    return (rng.random(n + more) < np.r_[np.full(n, before), np.full(more, after)]).astype(float)


def first(watch, values):
    return next((i for i, value in enumerate(values) if watch.add(value)), None)


@pytest.mark.parametrize("seed", range(8))
def test_the_first_alarm_comes_with_rivers(seed):
    drift = pytest.importorskip("river.drift", reason="river is the oracle")
    values, theirs = stream(seed), drift.ADWIN()
    expected = None
    for i, value in enumerate(values):
        theirs.update(value)
        if theirs.drift_detected:
            expected = i
            break
    assert first(Adwin(), values) == expected


def test_it_forgets_the_old_and_knows_the_direction():
    watch = Adwin()
    for value in stream(1, 0.02, 0.5, 2000, 1500):
        watch.add(value)
    assert watch.size < 2200 and watch.mean > 0.4
    down = Adwin()
    falls = [down.rose for value in stream(1, 0.5, 0.02, 2000, 1500) if down.add(value)]
    assert falls and not any(falls)


def test_sums_stay_exact_whatever_is_merged_and_dropped():
    values, watch = stream(2, 0.1, 0.6, 1000, 1000), Adwin()
    for i, value in enumerate(values, 1):
        watch.add(value)
        assert watch.mean == pytest.approx(values[i - watch.size : i].mean(), abs=1e-9)
        assert sum(len(row) * 2**r for r, row in enumerate(watch._rows)) == watch.size
    assert sum(len(row) for row in watch._rows) < 100, "memory grows with the logarithm"


def test_quiet_streams_raise_few_alarms_and_nonsense_is_refused():
    rng = np.random.default_rng(3)
    alarms = sum(first(Adwin(), (rng.random(2000) < 0.05).astype(float)) is not None for _ in range(40))
    assert alarms <= 2
    for bad in (float("nan"), 2.0, -0.1):
        with pytest.raises(ValueError, match="between 0 and 1"):
            Adwin().add(bad)
    with pytest.raises(ValueError, match="delta"):
        Adwin(0.0)


def test_rates_count_what_the_contract_counts():
    labels, said = np.array([0, 0, 0, 0, 1, 2, 3, 4]), np.array([0, 0, 0, 5, 1, 3, 0, 4])
    found = accuracy.rates(labels, said)
    assert found["accuracy"].estimate == 5 / 8
    assert found["defect_recall"].estimate == 3 / 4  # 2 called 3 is found all the same
    assert found["false_reject_rate"].estimate == 1 / 4
    empty = accuracy.rates(labels[4:], said[4:])["false_reject_rate"]
    assert np.isnan(empty.estimate) and empty.labels == 0


def test_weighted_audits_are_unbiased_and_cover_and_the_naive_count_is_not():
    rng = np.random.default_rng(4)
    sure = rng.random(4000) < 0.8
    right = np.where(sure, rng.random(4000) < 0.99, rng.random(4000) < 0.6)
    chance = np.where(sure, 0.1, 1.0)
    naive, fair, covered = [], [], 0
    for _ in range(300):
        asked = rng.random(4000) < chance
        naive.append(right[asked].mean())
        found = accuracy.weighted(right[asked], chance[asked])
        fair.append(found.estimate)
        covered += found.low <= right.mean() <= found.high
    assert abs(np.mean(fair) - right.mean()) < 0.002 and covered >= 270
    assert np.mean(naive) < right.mean() - 0.1
    with pytest.raises(ValueError, match="chance"):
        accuracy.weighted([True], [0.0])


def test_estimates_without_labels_are_right_where_they_say_so_and_wrong_where_not():
    rng = np.random.default_rng(5)
    confident = rng.uniform(0.6, 1, 5000)
    probabilities = np.c_[confident, 1 - confident]
    assert accuracy.confidence_estimate(probabilities) == pytest.approx(confident.mean())
    confusion = np.array([[90, 10, 0], [5, 90, 5], [0, 20, 80]])
    prior = np.array([0.2, 0.3, 0.5])
    truth = rng.choice(3, 20_000, p=prior)
    said = np.array([rng.choice(3, p=confusion[t] / confusion[t].sum()) for t in truth])
    assert accuracy.prior_estimate(confusion, said) == pytest.approx(prior, abs=0.02)
    assert abs(np.bincount(said) / len(said) - prior).max() > 0.04, "counting the predictions is not enough"
    with pytest.raises(ValueError, match="every class"):
        accuracy.prior_estimate(np.diag([1, 0, 1]), said)


def test_adwins_delay_grows_as_the_change_shrinks():
    strong = driftmap.adwin_delay(0.03, np.arange(1000) < 300, 0)
    weak = driftmap.adwin_delay(0.03, np.arange(1000) < 90, 0)
    assert 0 < strong < weak and driftmap.adwin_delay(0.03, np.arange(1000) < 30, 1) is None
    assert driftmap.adwin_false_alarms(0.05, 1000, 0, streams=5, length=1000) < 2
