"""The error rates that evidence promises, counted; and one observation at a time against all at once."""

import numpy as np
import pytest

from cvprod.measure import wilson
from cvprod.rollout import simulate
from cvprod.rollout.sequential import Evidence, evidence, first


@pytest.mark.parametrize("flips", [0.005, 0.02, 0.05])
def test_a_harmless_version_reaches_1_over_alpha_at_most_so_often(flips):
    """Looked at after each of 3000 pairs, which is what breaks every test of a fixed size."""
    reached = evidence(simulate.streams(0.0, 400, 3000, flips=flips, seed=1).d).max(axis=1)
    for alpha in (0.05, 0.1, 0.2):
        assert wilson(int((reached >= 1 / alpha).sum()), 400)[0] < alpha
    assert len(np.unique(reached)) > 20  # it is a bet, not a constant


@pytest.mark.parametrize(("drop", "median"), [(0.05, 400), (0.1, 180), (0.2, 90)])
def test_harm_is_found_and_soon(drop, median):
    at = first(evidence(simulate.streams(drop, 300, 3000, seed=2).d) >= 20)
    assert (at > 0).mean() > 0.98 and np.median(at[at > 0]) < median


def test_the_claim_of_harmlessness_is_refuted_by_chance_at_most_so_often():
    """A version that is worse by exactly the margin is the hardest for the second gambler."""
    d = simulate.streams(0.02, 400, 3000, seed=3).d
    assert wilson(int((evidence(-d, -0.02).max(axis=1) >= 20).sum()), 400)[0] < 0.05
    good = simulate.streams(0.0, 400, 3000, seed=4).d
    assert (evidence(-good, -0.02).max(axis=1) >= 20).mean() > 0.9


@pytest.mark.parametrize("margin", [-0.05, 0.0, 0.1])
def test_one_at_a_time_is_the_same_as_all_at_once(margin):
    d = np.random.default_rng(0).choice([-1.0, 0.0, 0.3, 1.0], 500)
    whole, running = evidence(d, margin), Evidence(margin)
    assert np.allclose([running.add(x) for x in d], whole)
    assert running.n == 500 and running.best == pytest.approx(max(1.0, whole.max()))


def test_the_capital_under_the_null_is_fair():
    """Its expectation stays 1: what makes the inequality true. Exactly, over all outcomes of six coins."""
    outcomes = np.array(np.meshgrid(*[[-1.0, 1.0]] * 6)).reshape(6, -1).T
    assert evidence(outcomes)[:, -1].mean() == pytest.approx(1)
    assert evidence(outcomes, 0.1)[:, -1].mean() < 1  # below the margin he loses


def test_long_luck_does_not_overflow():
    rich = Evidence()
    for _ in range(3000):
        rich.add(1)
    assert np.isfinite(rich.value) and np.isfinite(evidence(np.ones(3000))).all()


@pytest.mark.parametrize("wrong", [np.nan, 1.1, -2, np.inf])
def test_what_is_no_observation_is_refused(wrong):
    with pytest.raises(ValueError, match=r"\[-1, 1\]"):
        evidence(np.array([0.0, wrong]))
    running = Evidence()
    with pytest.raises(ValueError, match=r"\[-1, 1\]"):
        running.add(wrong)
    assert running.n == 0 and running.value == pytest.approx(1)
    with pytest.raises(ValueError, match="margin"):
        Evidence(0.9)


def test_first():
    assert first(np.array([[False, True, True], [False] * 3, [True, False, False]])).tolist() == [2, 0, 1]
