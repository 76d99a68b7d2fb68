"""Charts draw the numbers that they were given, in the units that their axes name."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from cvprod.contract import load_contract
from cvprod.display import charts, plots
from cvprod.measure import Latency
from cvprod.models import Evaluation
from cvprod.traffic.load import Load


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def texts(fig):
    """Every text that the figure shows."""
    fig.canvas.draw()  # tick labels exist only then
    return " | ".join(t.get_text() for t in fig.findobj(plt.Text) if t.get_text())


def points(fig):
    """All (x, y) drawn by lines with markers."""
    return {
        (round(x, 6), round(y, 6))
        for ax in fig.axes
        for drawn in ax.lines
        if drawn.get_marker() not in ("None", "", None)
        for x, y in zip(drawn.get_xdata(), drawn.get_ydata(), strict=True)
    }


def renders(fig):
    return plots.figure_html(fig, "A figure of this test, with words enough.")


def test_bars_show_every_number_and_lift_out_what_is_over_the_limit():
    fig = charts.bars({"small": 5, "large": 1200}, "size in MB", limit=512)
    assert [patch.get_width() for patch in fig.axes[0].patches] == [5, 1200]
    colours = {patch.get_facecolor() for patch in fig.axes[0].patches}
    assert len(colours) == 2 and fig.axes[0].get_xlabel() == "size in MB"
    assert all(part in texts(fig) for part in ("small", "1,200", "contract 512"))
    assert "<svg" in renders(fig)


def test_a_bars_number_never_stands_on_the_limits_line():
    fig = charts.bars({"far": 40, "near": 97.5, "over": 101}, "%", limit=100)
    fig.draw_without_rendering()
    line = fig.axes[0].transData.transform((100, 0))[0]
    numbers = [text for text in fig.axes[0].texts if text.get_text() in ("40", "97.5", "101")]
    assert len(numbers) == 3
    for text in numbers:
        box = text.get_window_extent()
        assert not box.x0 <= line <= box.x1, text.get_text()


def test_logarithmic_bars_stay_inside_the_axis():
    fig = charts.bars({"a": 0.02, "b": 4000}, "ms", log=True, limit=10)
    low, high = fig.axes[0].get_xlim()
    assert low < 0.02 and high > 4000
    renders(fig)


def test_distribution_marks_percentiles_in_milliseconds():
    latency = Latency(np.linspace(0.001, 0.101, 101))
    fig = charts.distribution({"x": latency})
    assert (51.0, 50.0) in points(fig) and (100.0, 99.0) in points(fig)
    assert "p99" in texts(fig) and "ms" in fig.axes[0].get_xlabel()


def test_an_interval_without_an_upper_end_runs_out_of_the_plot():
    fig = charts.distribution({"x": Latency(np.linspace(0.001, 0.101, 101))})
    ends = {line.get_ydata()[0]: line.get_xdata()[1] for line in fig.axes[0].lines if len(line.get_xdata()) == 2}
    right = fig.axes[0].get_xlim()[1]
    assert ends[99] == right > 101 > ends[95] > ends[50]  # 101 calls bound a p95, and no p99
    renders(fig)


def test_load_timeline_has_a_panel_a_test_with_its_p95():
    due = np.arange(100) / 100
    fig = charts.load_timeline({"closed": Load(due, due, due + 0.01), "open": Load(due, due, due + 0.2)})
    assert [ax.get_title() for ax in fig.axes] == [
        "closed: 100 calls, p95 (dashed) 10 ms",
        "open: 100 calls, p95 (dashed) 200 ms",
    ]
    assert len(charts.load_timeline({"one": Load(due, due, due + 0.01)}).axes) == 1


def test_roofline_bends_where_bandwidth_times_intensity_meets_the_peak():
    fig = charts.roofline({"net": (2.0, 3e9)}, peak=100e9, bandwidth=20e9)
    roof = fig.axes[0].lines[0]
    x, y = roof.get_xdata(), roof.get_ydata()
    assert np.allclose(y, np.minimum(100, 20 * x)) and y.max() == 100 and x.min() < 5 < x.max()
    assert (2.0, 3.0) in points(fig) and "GFLOP/s" in fig.axes[0].get_ylabel()


def test_tradeoff_places_every_network_and_says_who_is_beaten():
    labels = np.arange(70) % 7
    good = Evaluation(np.eye(7, dtype=np.float32)[labels], labels)
    bad = Evaluation(np.eye(7, dtype=np.float32)[(labels + (np.arange(70) < 35)) % 7], labels)
    slow, fast = Latency(np.full(20, 0.020)), Latency(np.full(20, 0.002))
    fig = charts.tradeoff(
        {"a": slow, "b": fast, "c": slow}, {"a": good, "b": bad, "c": bad}, front=[1, 1, 0], limit_ms=10
    )
    assert {(20.0, 100.0), (2.0, 50.0), (20.0, 50.0)} <= points(fig)
    assert "c (beaten)" in texts(fig) and "b (beaten)" not in texts(fig) and "contract 10 ms" in texts(fig)
    renders(fig)


def test_contract_distance_puts_broken_limits_right_of_one():
    contract = load_contract()
    limits = contract.limits()
    worse = {"p99_latency_ms": 20, "tiles_per_s": limits["tiles_per_s"] / 4, "defect_recall": 0.94, "memory_mb": 256}
    fig = charts.contract_distance({"x": contract.check(worse)})
    names = list(limits)
    found = {names[int(y)]: x for x, y in points(fig)}
    assert found == {
        "p99_latency_ms": pytest.approx(2),
        "tiles_per_s": pytest.approx(4),
        "defect_recall": pytest.approx(2),  # misses twice what is allowed
        "memory_mb": pytest.approx(0.5),
    }
    assert "model_size_mb" in texts(fig)  # named, without a point: not measured
    renders(fig)


def test_techniques_show_every_row_and_refuse_a_homeless_one():
    ends = {"difference": [0.0, -0.0075], "difference_low": [0.0, -0.0125], "difference_high": [0.0, 0.005]}
    board = pd.DataFrame({"p50_ms": [20.0, 0.2], **ends}, index=["baseline", "pipeline"])
    fig = charts.techniques(board, {"large": ["baseline"], "small": ["pipeline"]})
    assert points(fig) == {(20.0, 0.0), (0.2, -0.75)}
    bars = [segment[:, 1].tolist() for lines in fig.axes[0].collections for segment in lines.get_segments()]
    assert [-1.25, 0.5] in [[round(y, 6) for y in bar] for bar in bars]
    assert all(name in texts(fig) for name in ("baseline", "pipeline", "large", "small"))
    with pytest.raises(ValueError, match="pipeline"):
        charts.techniques(board, {"large": ["baseline"]})


def test_the_names_of_many_curves_cover_none_of_their_points():
    fig = charts.curves((1, 2, 3), {f"curve {n}": [n, 10 - n, n] for n in range(5)}, "x", "y")
    fig.draw_without_rendering()
    ax = fig.axes[0]
    assert ax.get_legend().get_window_extent().y1 < ax.get_window_extent().y0
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [f"curve {n}" for n in range(5)]
