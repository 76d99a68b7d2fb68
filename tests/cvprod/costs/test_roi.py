"""The return, by hand, and the properties of its tornado and spread."""

import math
from dataclasses import replace

import numpy as np
import pytest

from cvprod.costs.roi import Case, case, distribution, npv, payback, roi, tornado, yearly

PLANT = Case(recall=0.95, computing=400, claim=2000, claims=50, manual_recall=0.8, project=90_000, upkeep=10_000,
             recheck_hours=100, labour=50, discount_rate=0.08, horizon=5)  # fmt: skip
RANGES = {"claims": (20.0, 100.0), "claim": (1000.0, 4000.0), "computing": (100.0, 4000.0), "recall": (0.9, 0.97)}


def test_a_year_by_hand():
    # 50 claims are a fifth of 250 defects; the camera leaves 12.5: 37.5 avoided at 2000.
    assert yearly(PLANT) == pytest.approx(37.5 * 2000 - 400 - 10_000 - 5_000)


def test_present_value_by_hand():
    gain = yearly(PLANT)
    assert npv(PLANT) == pytest.approx(-90_000 + sum(gain / 1.08**year for year in range(1, 6)))
    assert npv(replace(PLANT, discount_rate=0.0)) == pytest.approx(5 * gain - 90_000)
    assert payback(PLANT) == pytest.approx(90_000 / gain) and roi(PLANT) == pytest.approx(npv(PLANT) / 90_000)


def test_a_camera_that_is_no_better_than_people_never_pays():
    useless = replace(PLANT, recall=0.8)
    assert npv(useless) < -90_000 and payback(useless) == math.inf


def test_the_widest_bar_is_on_top_and_each_end_is_an_npv():
    bars = tornado(PLANT, RANGES)
    widths = [abs(high - low) for _, low, high in bars]
    assert widths == sorted(widths, reverse=True) and {name for name, *_ in bars} == set(RANGES)
    low = dict((name, low) for name, low, _ in bars)["claims"]
    assert low == pytest.approx(npv(replace(PLANT, claims=20.0)))


def test_the_spread_lies_between_the_extremes_and_narrows_with_its_ranges():
    values = distribution(PLANT, RANGES, n=2000, seed=1)
    worst = npv(replace(PLANT, claims=20.0, claim=1000.0, computing=4000.0, recall=0.9))
    best = npv(replace(PLANT, claims=100.0, claim=4000.0, computing=100.0, recall=0.97))
    assert worst < values.min() < npv(PLANT) < values.max() < best
    narrow = distribution(PLANT, {"claims": (49.0, 51.0)}, n=2000, seed=1)
    assert narrow.std() < values.std() / 10
    assert np.array_equal(values, distribution(PLANT, RANGES, n=2000, seed=1))
    assert np.ptp(distribution(PLANT, {"claims": (50, 50)}, n=10)) == 0


def test_the_plants_case_comes_from_the_list(prices):
    made = case(prices, recall=0.96, computing=300.0)
    assert made.project == prices["project"].value and made.claims == prices["claims"].value
    assert case(prices.with_values(project=1.0), recall=0.96, computing=300.0).project == 1.0


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="no assumption 'luck'"):
        tornado(PLANT, {"luck": (0, 1)})
    with pytest.raises(ValueError, match="does not lie in its range"):
        distribution(PLANT, {"claims": (60.0, 90.0)})
    with pytest.raises(ValueError, match="recall is a share"):
        replace(PLANT, recall=1.2)
    with pytest.raises(ValueError, match="needs no camera"):
        replace(PLANT, manual_recall=1.0)
