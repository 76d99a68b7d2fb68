"""The comparison labels what was asked for, and its table and chart hold every runtime."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from cvprod.display import runtime_charts
from cvprod.runtimes import interface, parity


class Short:
    """A runtime that takes one thread, however many it is asked for: OpenVINO on one core."""

    def __init__(self, taken: int) -> None:
        self.taken = taken

    def __call__(self, x):
        return np.zeros((len(x), 7), np.float32)

    def describe(self):
        return interface.Description("short", "1", "fp32", self.taken, None, 1000, None, "")


@pytest.mark.parametrize(("asked", "labels"), [(2, {2}), (None, {1, 2})])
def test_threads_are_those_asked_for(asked, labels, tiles):
    runs = {parity.REFERENCE: Short(2), "short": Short(1)}
    logits = parity.answers(runs, tiles)
    rows = parity.compare(runs, logits, tiles, repeats=2, threads=asked)
    assert {row.threads for row in rows} == labels


def test_table_chart_and_ledger_hold_a_runtime_that_takes_fewer_threads(tiles):
    both = []
    for n in (1, 2):
        runs = {parity.REFERENCE: Short(n), "short": Short(1)}
        both += parity.compare(runs, parity.answers(runs, tiles), tiles, repeats=2, threads=n)
    assert not parity.table(both).isna().any(axis=None)
    assert len({row.name for row in parity.ledger_rows(3, both, "x")}) == 4
    figure = runtime_charts.latencies(both)
    assert [label.get_text() for label in figure.axes[0].get_legend().get_texts()] == ["1 thread", "2 threads"]
    plt.close(figure)


def test_eight_bits_are_made_from_the_float_file_that_is_there(converted, tiles, tmp_path):
    lineup = {"floats": ("onnxruntime", "fp32", {}), "bytes": ("onnxruntime", "int8", {})}
    made = {("onnxruntime", "fp32"): converted("onnxruntime")}
    files = parity.convert_all(None, tmp_path, tiles.images, lineup, made=made)  # there is nothing to convert
    assert files["floats"] == made["onnxruntime", "fp32"] and files["bytes"].parent == tmp_path
    logits = parity.answers(parity.load_all(files, lineup=lineup), tiles)
    assert 0 < np.abs(logits["bytes"] - logits["floats"]).max() < 0.1 * np.abs(logits["floats"]).max()


def test_a_tile_changes_class_exactly_where_it_loses_more_than_its_margin():
    wanted = np.array([[5.0, 3, 0], [2, 1.5, 0], [0, 1, 4]])
    found = np.array([[4.5, 3.2, 0], [1.4, 1.6, 0], [0, 0.5, 5]])  # keeps, flips, grows
    margins = parity.margins({parity.REFERENCE: wanted, "eight": found})
    assert margins["runtime"].tolist() == ["eight"] * 3
    assert margins["margin"].tolist() == pytest.approx([2.0, 0.5, 3.0])
    assert margins["lost"].tolist() == pytest.approx([0.7, 0.7, -1.5])
    assert margins["flipped"].tolist() == [False, True, False]
    assert ((margins["lost"] > margins["margin"]) == margins["flipped"]).all()


def test_the_chart_of_margins_rings_what_changed_class():
    wanted = np.array([[5.0, 3, 0], [2, 1.5, 0]])
    logits = {parity.REFERENCE: wanted, "eight": np.array([[4.5, 3.2, 0], [1.4, 1.6, 0]])}
    figure = runtime_charts.margins(parity.margins(logits))
    rings = [line for line in figure.axes[0].lines if line.get_markerfacecolor() == "none"]
    assert [list(line.get_xdata()) for line in rings] == [pytest.approx([0.5])]
    plt.close(figure)
