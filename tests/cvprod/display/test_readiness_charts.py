"""Charts of decisions: what lies inside the box keeps the contract, and nothing that is shown is lost."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import Rectangle

from cvprod.display import plots, readiness_charts

mpl.use("Agg")


@pytest.fixture(autouse=True)
def style():
    plots.use_style()
    yield
    mpl.pyplot.close("all")


def inside(ax, x, y):
    box = next(patch for patch in ax.patches if isinstance(patch, Rectangle))
    (left, bottom), width, height = box.get_xy(), box.get_width(), box.get_height()
    return left <= x <= left + width and bottom <= y <= bottom + height


def test_a_point_of_the_det_plot_is_in_the_box_exactly_if_it_keeps_both_limits():
    rates = np.array([0.3, 0.2, 0.09, 0.04, 0.0]), np.array([0.0, 0.01, 0.02, 0.2, 1.0])
    for pair, kept in (((0.09, 0.02), True), ((0.2, 0.01), False), ((0.04, 0.2), False), ((0.0, 0.0), True)):
        fig = readiness_charts.det({"a": rates}, {"chosen": {"a": pair}}, false_rejects=0.1, misses=0.03)
        (ax,) = fig.axes
        (x,), (y,) = ax.lines[-1].get_data()
        assert inside(ax, x, y) == kept


def test_argmax_is_hollow_and_the_chosen_point_filled():
    rates = np.array([0.2, 0.1]), np.array([0.01, 0.02])
    points = {"argmax": {"a": (0.2, 0.01)}, "chosen": {"a": (0.1, 0.02)}}
    fig = readiness_charts.det({"a": rates}, points, false_rejects=0.1, misses=0.03)
    hollow, filled = fig.axes[0].lines[-2:]
    assert hollow.get_markerfacecolor() == "none" != filled.get_markerfacecolor()
    assert [text.get_text() for text in fig.axes[0].get_legend().get_texts()] == ["a"]


def options():
    rows = [
        ("quick", "edge", 1, 5.0, 0.05), ("quick", "edge", 2, 3.0, 0.1), ("quick", "cloud", 1, 25.0, 0.08),
        ("slow", "edge", 1, np.inf, 0.05), ("slow", "edge", 6, 30.0, 0.3),
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["network", "place", "machines", "p99_ms", "eur_per_million"])


def test_every_option_that_keeps_up_is_drawn_and_only_those_that_keep_the_contract_lie_in_the_box():
    (ax,) = readiness_charts.placements(options(), limit_ms=10, limit_eur=0.07, later_ms=343).axes
    drawn = {(x, y) for line in ax.lines[:3] for x, y in zip(*line.get_data(), strict=True)}
    assert drawn == {(0.05, 5.0), (0.1, 3.0), (0.08, 25.0), (0.3, 30.0)}
    assert {point for point in drawn if inside(ax, *point)} == {(0.05, 5.0)}
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["quick, edge", "quick, cloud", "slow, edge"]
    assert ax.get_ylim()[1] > 343


def test_the_curve_goes_one_way_and_keeps_its_corners():
    """More false rejects never mean more misses, and thousands of equal steps do not make the page heavy."""
    rejects = np.repeat(np.linspace(0.4, 0.01, 40), 100)
    misses = np.repeat(np.linspace(0.005, 0.2, 100), 40)
    points = {"chosen": {"a": (0.1, 0.02)}}
    (ax,) = readiness_charts.det({"a": (rejects, misses)}, points, false_rejects=0.1, misses=0.03).axes
    x, y = ax.lines[0].get_data()
    assert (np.diff(x) <= 0).all() and (np.diff(y) >= 0).all()
    assert len(x) < 600 and (x[0], x[-1]) == pytest.approx(
        (ax.lines[0].get_xdata().max(), ax.lines[0].get_xdata().min())
    )


def test_the_box_is_on_the_plot_even_where_no_option_is_near_it():
    far = options().assign(p99_ms=500.0)
    (ax,) = readiness_charts.placements(far, limit_ms=10, limit_eur=0.07).axes
    assert ax.get_ylim()[0] < 10 < ax.get_ylim()[1]
