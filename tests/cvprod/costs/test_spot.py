"""Interruptions: the simulation against closed forms, and the effects that the chapter claims."""

import math

import pytest

from cvprod.costs.spot import a_month, best_checkpoint, expected_loss, simulate

BASE = {"eur_per_hour": 0.05, "interruptions_a_month": 30.0, "notice_s": 30.0, "drain_s": 5.0, "checkpoint_s": 600.0,
        "hours": 50_000.0}  # fmt: skip


def test_what_drains_in_time_loses_no_work_and_what_does_not_loses_half_a_checkpoint():
    assert simulate(**BASE).lost == 0
    late = simulate(**BASE | {"drain_s": 31.0})
    assert late.lost == pytest.approx(expected_loss(30.0, 600.0), rel=0.1)
    assert simulate(**BASE | {"drain_s": 31.0, "notice_s": 120.0}).lost == 0, "two minutes are enough"
    assert late.cost > simulate(**BASE).cost


@pytest.mark.parametrize("mean_gap_in_jobs", [0.4, 1.0, 5.0])
def test_jobs_without_checkpoints_get_done_what_renewal_theory_says(mean_gap_in_jobs):
    """Of exponential gaps only whole jobs count: the share x / (exp(x) - 1), x = job over mean gap."""
    gap_h = 730 / 30
    made = simulate(**BASE | {"drain_s": 60.0, "checkpoint_s": gap_h * 3600 / mean_gap_in_jobs, "restart_s": 0.0,
                              "pools": 6, "hours": 200_000.0})  # fmt: skip
    x = 1 / mean_gap_in_jobs
    assert 1 - made.lost == pytest.approx(x / math.expm1(x), rel=0.05)


def test_capacity_that_is_away_is_rate_times_restart():
    made = simulate(**BASE | {"restart_s": 600.0})
    expected = 30 / 730 * 600 / 3600
    assert made.down == pytest.approx(expected, rel=0.08)
    assert made.interruptions == pytest.approx(6 * 30 / 730 * 50_000, rel=0.08)


def test_pools_do_not_save_capacity_but_they_do_not_fail_together():
    outcomes = [simulate(**BASE | {"restart_s": 3600.0, "pools": n}) for n in (1, 2, 3, 6)]
    gone = [o.all_down for o in outcomes]
    assert gone == sorted(gone, reverse=True) and gone[0] > 5 * gone[1] > 0
    assert gone[0] == pytest.approx(outcomes[0].down, rel=1e-6), "one pool: any absence is everybody's"
    share = outcomes[1].down
    assert gone[1] == pytest.approx(share**2, rel=0.35), "two independent pools"


def test_no_interruptions_cost_nothing():
    quiet = simulate(**BASE | {"interruptions_a_month": 0.0})
    assert (quiet.interruptions, quiet.lost, quiet.down, quiet.all_down) == (0, 0, 0, 0)
    assert quiet.cost == BASE["eur_per_hour"]


def test_same_seed_same_outcome():
    assert simulate(**BASE, seed=4) == simulate(**BASE, seed=4) != simulate(**BASE, seed=5)


def test_the_share_of_a_month():
    assert a_month(0) == 0 and a_month(0.2) == pytest.approx(0.2231, abs=1e-4)
    assert 1 - math.exp(-a_month(0.7)) == pytest.approx(0.7)
    with pytest.raises(ValueError, match=r"lies in 0\.\.1"):
        a_month(1.0)


def test_youngs_checkpoint_is_a_minimum_of_overhead_plus_loss():
    best = best_checkpoint(60.0, 20.0)

    def waste(seconds):
        return 20.0 / seconds + expected_loss(60.0, seconds)

    assert waste(best) < min(waste(best * 0.8), waste(best * 1.25))
    with pytest.raises(ValueError, match="save_s above 0"):
        best_checkpoint(60.0, 0)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [({"pools": 7}, "pools lie"), ({"checkpoint_s": 0}, "must be positive"), ({"eur_per_hour": 0}, "must be positive"),
     ({"restart_s": -1.0}, "not be negative")],
)  # fmt: skip
def test_nonsense_is_refused(wrong, says):
    with pytest.raises(ValueError, match=says):
        simulate(**BASE | wrong)
