"""Cells that measure time are found by what their code runs, however they name it."""

import nbformat
import pytest

from cvprod.book import notebooks, timing

IMPORTS = """
import time
from time import perf_counter as clock
from cvprod import claims, measure
from cvprod.display import listing
from cvprod.optimize import compare as comparison
from cvprod.realtime import batching, stages
from cvprod.traffic import load
from cvprod.traffic.load import open_loop
def mine(): return measure.latency(print)
def theirs(): return mine()
class Holder:
    def go(self): return theirs()
"""


def found(source):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in (IMPORTS, source)])
    (_, none), (_, names) = timing.measured_by(notebook)
    assert none == []  # to import and to define is not to run
    return names


@pytest.mark.parametrize(
    "source",
    [
        "measure.latency(print)",
        "measure.parallelism()",
        "measure.cold_start({})",
        "x = [load.closed_loop(f, seconds=1) for f in fs]",
        "open_loop(print, due)",
        "batching.serve(run, tiles, due)",
        "stages.Pipeline(steps).run(items)",
        "comparison.race(all, tile)",  # measures by measure.compare
        "claims.holds('a', bool, mine)",
        "theirs()",
        "Holder().go()",
        "run(mine)",
        "begun = time.perf_counter()",
        "begun = clock()",
        "%matplotlib inline\ntime.monotonic()",
    ],
)
def test_what_measures_is_found(source):
    assert found(source)


@pytest.mark.parametrize(
    "source",
    [
        "measure.machine()",
        "measure.wilson(1, 2)",
        "load.schedule(10, 1)",
        "def later(): return theirs()",
        "listing.show_source(batching.serve)",
        "time.sleep(0)",
        "def mine(): return 1\nmine()",  # another function of the name
        "theirs = len",
    ],
)
def test_what_measures_nothing_is_not(source):
    assert not found(source)


def test_a_cell_that_measures_without_a_tag_is_a_fault_and_one_that_says_which_is_not(tmp_path):
    first = nbformat.v4.new_code_cell(notebooks.bootstrap("models"))
    cells = [first, nbformat.v4.new_code_cell(IMPORTS), nbformat.v4.new_code_cell("theirs()")]
    path = tmp_path / "x.ipynb"
    notebooks.write(nbformat.v4.new_notebook(cells=cells), path)
    (fault,) = notebooks.faults(path)
    assert "measures time (theirs): tag it timed or untimed" in fault
    for tag in ("timed", "untimed"):
        cells[2].metadata["tags"] = [tag]
        notebooks.write(nbformat.v4.new_notebook(cells=cells), path)
        assert notebooks.faults(path) == []
    del cells[2].metadata["tags"]
    notebooks.write(nbformat.v4.new_notebook(cells=cells), path)
    assert notebooks.main(["normalise", str(path)]) == 0 and notebooks.faults(path) == []
