"""Power by simulation against the formula, units that are coils, strata that do not blur."""

import numpy as np
import pytest

from cvprod.rollout import abtest


def test_the_formula_gives_the_power_that_it_promises():
    n, random = abtest.tiles_needed(0.95, 0.02), np.random.default_rng(0)
    a, b = (random.binomial(n, rate, 4000) / n for rate in (0.95, 0.93))
    error = np.sqrt(a * (1 - a) / n + b * (1 - b) / n)
    assert ((a - b) / error > 1.645).mean() == pytest.approx(0.8, abs=0.03)


def test_pairs_need_fewer_and_have_their_power_too():
    n, random = abtest.pairs_needed(0.02, 0.06), np.random.default_rng(1)
    assert n < abtest.tiles_needed(0.95, 0.02)
    d = random.choice([1, -1, 0], p=[0.04, 0.02, 0.94], size=(3000, n))
    z = d.mean(1) / (d.std(1) / np.sqrt(n))
    assert (z > 1.645).mean() == pytest.approx(0.8, abs=0.04)


def test_coils_keep_the_promised_error_and_tiles_do_not():
    alarms = dict.fromkeys(("tiles", "coils"), 0)
    for case in range(300):
        arms = [abtest.coils(40, 200, seed=1000 + 2 * case + side) for side in (0, 1)]
        for by in alarms:
            gap, error = abtest.difference(arms, 200, by=by)
            alarms[by] += abs(gap) > 1.96 * error
    assert alarms["tiles"] > 90 and alarms["coils"] < 30
    with pytest.raises(ValueError, match="coils"):
        abtest.difference(arms, 200, by="pixels")


def test_the_design_effect_is_the_variance_of_simulated_coils():
    found = np.var([abtest.coils(50, 100, seed=s).mean() / 100 for s in range(800)])
    independent = 0.05 * 0.95 / 5000
    assert found / independent == pytest.approx(abtest.design_effect(100, 0.05), rel=0.2)


def test_arms_are_stable_fair_and_independent_of_each_other():
    coils = [f"coil {n}" for n in range(4000)]
    first, second = ([abtest.arm(coil, name, 0.3) == "B" for coil in coils] for name in ("one", "two"))
    assert first == [abtest.arm(coil, "one", 0.3) == "B" for coil in coils]
    assert np.mean(first) == pytest.approx(0.3, abs=0.03)
    assert np.mean(np.array(first) & np.array(second)) == pytest.approx(0.09, abs=0.02)
    with pytest.raises(ValueError, match="share"):
        abtest.arm("coil 1", "one", 1.0)


def test_strata_remove_a_difference_that_is_only_the_mix():
    random, plain, fair = np.random.default_rng(2), [], []
    for _ in range(200):
        hard = [random.random(1000) < share for share in (0.6, 0.3)]
        right = [random.random(1000) < np.where(h, 0.85, 0.97) for h in hard]
        plain.append(right[1].mean() - right[0].mean())
        fair.append(abtest.stratified(right, hard, {True: 0.5, False: 0.5}))
    gaps, errors = np.array(fair).T
    assert np.mean(plain) > 0.03 and abs(gaps.mean()) < 0.003
    assert gaps.std() == pytest.approx(errors.mean(), rel=0.2)
    with pytest.raises(ValueError, match="stratum 'rare'"):
        abtest.stratified(right, hard, {"rare": 1.0})


@pytest.mark.parametrize("case", [(0.95, 0), (0.95, 0.96), (1.2, 0.1)])
def test_impossible_tests_are_refused(case):
    with pytest.raises(ValueError, match="no such test"):
        abtest.tiles_needed(*case)
