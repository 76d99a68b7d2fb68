"""Options, plans and the recommendation, against sums by hand and an exhaustive search."""

import itertools
import math

import numpy as np
import pytest

from cvprod.costs import Option, Workload, offers, plan, recommend
from cvprod.costs.options import BUSY, faster, idle_cost, needed_speed, price_date
from cvprod.costs.placement import eur_per_million


def machine(**more):
    return Option(
        **{"name": "m", "kind": "vm", "provider": "aws", "region": "eu-central-1", "tiles_per_s": 100.0, "p99_ms": 5.0,
           "used": ("aws_c7i_large_eu",), "eur_per_hour": 0.36} | more
    )  # fmt: skip


WORK = Workload("work", 100.0, 0.5, 1000.0, 10.0)


def test_cost_falls_with_utilisation_as_arithmetic_says():
    # 100 tiles/s for 0.36 EUR an hour: 360,000 tiles, one euro a million; half as busy, twice as dear.
    assert machine().per_million(1) == pytest.approx(1.0)
    assert machine().per_million(0.5) == pytest.approx(2.0)
    assert machine().per_million(1) == pytest.approx(eur_per_million(0.36, 100))
    assert machine(eur_per_hour=0, eur_per_million=3.0).per_million(0.01) == 3.0
    owned = machine(eur_per_hour=0, eur_per_year=8760 * 0.36)
    assert owned.per_million(0.25) == pytest.approx(4.0)
    for wrong in (0, -0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="utilisation is a share"):
            machine().per_million(wrong)


def test_the_break_even_is_where_both_cost_the_same():
    called = machine(kind="function", eur_per_hour=0, eur_per_million=4.0)
    share = machine().break_even(called)
    assert share == pytest.approx(0.25)
    assert machine().per_million(share) == pytest.approx(called.per_million(share))
    assert machine().break_even(machine(kind="function", eur_per_hour=0, eur_per_million=0.9)) is None
    assert machine(eur_per_million=5).break_even(called) is None


def test_options_come_from_the_list_and_cost_what_it_says(prices, speed):
    found = offers(prices, speed)
    assert len({(o.name, o.region) for o in found}) == len(found) > 25
    assert {o.kind for o in found} == {"edge", "vm", "spot", "container", "function"}
    for one in found:
        assert all(name in prices for name in one.used)
        if one.kind in ("vm", "spot"):
            assert one.eur_per_hour == prices.amount(one.used[0], "EUR/h")
    assert not [o for o in found if "c7g" in o.name or "L4" in o.name], "their speed was not measured"
    fargate = next(o for o in found if o.kind == "container" and o.region == "us-east-1")
    assert fargate.eur_per_hour == pytest.approx((2 * 0.04048 + 4 * 0.004445) * prices["usd_in_eur"].value)


def test_a_plan_by_hand():
    made = plan(machine(), WORK)
    assert made.units == 2  # 100 tiles/s at 80 % of 100 need two
    assert made.eur_per_year == pytest.approx(2 * 0.36 * 1000)
    assert made.eur_per_million == pytest.approx(720 / (100 * 0.5 * 3600 * 1000 / 1e6))
    assert made.broken == ()
    assert plan(machine(tiles_per_s=100 / BUSY), WORK).units == 1, "an exactly sufficient machine is not doubled"
    called = plan(machine(kind="function", eur_per_hour=0, eur_per_million=2.0), WORK)
    assert called.eur_per_year == pytest.approx(2.0 * WORK.million_tiles)


def test_rows_that_must_be_shared_take_more_machines_than_the_rate():
    from dataclasses import replace

    shared = plan(machine(tiles_per_s=1000.0), replace(WORK, machines=3))
    assert shared.units == 3 and shared.eur_per_year == pytest.approx(3 * 0.36 * 1000)
    assert plan(machine(), replace(WORK, machines=2)).units == 2
    assert plan(machine(kind="function", eur_per_hour=0, eur_per_million=1.0), replace(WORK, machines=3)).units == 1


@pytest.mark.parametrize(
    ("option", "work", "says"),
    [
        ({"p99_ms": 11.0}, {}, "too late"),
        ({}, {"eur_per_million": 0.1}, "too dear"),
        ({"kind": "spot"}, {}, "may be taken away"),
        ({"region": "us-east-1"}, {}, "pictures leave Europe"),
        ({"region": ""}, {}, "pictures leave Europe"),
        ({"tiles_per_call": 16}, {"together": 12}, "tiles come one by one"),
        ({"name": "c7i-flex.large", "tiles_per_s": 125.0}, {"busy": 0.6}, "throttled under this load"),
        ({"uplink_mbit_per_s": 7.9}, {}, "link too narrow"),
    ],
)
def test_what_is_broken_is_said_and_never_recommended(option, work, says):
    from dataclasses import replace

    made = plan(machine(**option), replace(WORK, **work), tile_bytes=1e4)
    assert made.broken == (says,)
    assert recommend([made]) is None
    assert recommend([made, plan(machine(eur_per_hour=99.0), WORK)]).option.eur_per_hour == 99.0


def test_the_recommendation_is_the_cheapest_that_keeps_everything_by_exhaustive_search(prices, speed):
    every = offers(prices, speed)
    seen = set()
    grid = itertools.product(
        (0.05, 322, 4000), (0.02, 1), (200, 8760), (3, 10, 60, 3.6e6), (0.02, math.inf), (1, 64), (False, True),
        (False, True),
    )  # fmt: skip
    for values in grid:
        work = Workload("w", *values)
        plans = [plan(o, work, 12_000) for o in every]
        best = recommend(plans)
        rivals = [p for p in plans if not p.broken and (best is None or p.eur_per_year < best.eur_per_year)]
        assert not rivals
        assert best is None or (not best.broken and best in plans)
        seen.add(best and best.option.kind)
    assert seen == {None, "edge", "vm", "spot", "function"}, "three kinds of work, more than one answer"


def test_the_line_wants_the_box_the_archive_spot_and_the_portal_a_function(prices, speed):
    line = Workload("line", 322, 1, 7000, 10, 0.1, together=12)
    archive = Workload("archive", 322, 1, 4000, 3.6e6, 0.1, together=64, interruptible=True)
    portal = Workload("portal", 2, 0.02, 8760, 5000)
    kinds = [recommend([plan(o, w, 12_000) for o in offers(prices, speed)]).option.kind for w in
             (line, archive, portal)]  # fmt: skip
    assert kinds == ["edge", "spot", "function"]


def test_a_slower_machine_never_makes_the_line_cheaper(prices, speed):
    line = Workload("line", 322, 1, 7000, math.inf, together=12)
    for option in offers(prices, speed):
        costs = [plan(faster(option, times), line).eur_per_year for times in (0.1, 0.5, 1, 2, 10)]
        assert (np.diff(costs) <= 1e-9).all()


def test_other_machines_by_hand(prices):
    cheapest = min(prices["aws_c7i_large_us"].value, prices["azure_f2s_v2_us"].value)
    assert needed_speed(prices, "aws_g6_xlarge_us", ["aws_c7i_large_us", "azure_f2s_v2_us"]) == pytest.approx(
        0.8048 / cheapest
    )
    assert idle_cost(prices, "aws_g6_xlarge_us", 0.25, 100) == pytest.approx(
        75 * prices.amount("aws_g6_xlarge_us", "EUR/h")
    )
    with pytest.raises(ValueError, match="busy is a share"):
        idle_cost(prices, "aws_g6_xlarge_us", 2)


def test_the_date_of_an_option_is_its_oldest(prices):
    assert price_date(prices, machine(used=("azure_d2s_v5_us",))) == "2026-09-06"
    assert price_date(prices, machine(used=("azure_d2s_v5_us", "aws_c7i_large_eu"))) == "undated"
    assert price_date(prices, machine(used=("electricity", "azure_d2s_v5_us", "edge_box"))) == "2025-06-30"


@pytest.mark.parametrize("wrong", [{"tiles_per_s": 0}, {"busy": 0}, {"busy": 2}, {"hours_per_year": 9000}])
def test_impossible_workloads_are_refused(wrong):
    from dataclasses import replace

    with pytest.raises(ValueError, match="needs tiles_per_s"):
        replace(WORK, **wrong)
