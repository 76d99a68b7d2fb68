"""What nbval ran is what Jupyter Book finds in its cache; a notebook with a failed cell is not there."""

import os
import subprocess
import sys

import nbformat
import pytest
from jupyter_cache import get_cache

from cvprod.book import notebooks

CONFTEST = """
from pathlib import Path
from cvprod.book.pytest_keep import Kept
def pytest_configure(config):
    config.pluginmanager.register(Kept(Path(__file__).parent / "cache"))
"""


def run(folder, *options, **files):
    """Run notebooks of these code cells under nbval; the exit status and what the cache holds, by name."""
    (folder / "conftest.py").write_text(CONFTEST)
    for name, cells in files.items():
        code = [nbformat.v4.new_code_cell(source, metadata={"tags": tags}) for source, tags in cells]
        notebooks.write(nbformat.v4.new_notebook(cells=code), folder / f"{name}.ipynb")
    command = [sys.executable, "-m", "pytest", "-q", "--nbval-lax", "--nbval-current-env", "-p", "no:cacheprovider"]
    command += ["-p", "nbval.plugin"]
    quick = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # the other plugins take seconds to import
    done = subprocess.run(
        [*command, *options, "."], cwd=folder, capture_output=True, text=True, timeout=120, check=False, env=quick
    )
    cache, found = get_cache(str(folder / "cache")), {}
    for name in files:
        try:
            record = cache.match_cache_notebook(notebooks.read(folder / f"{name}.ipynb"))
        except KeyError:
            continue
        found[name] = cache.get_cache_bundle(record.pk).nb
    return done, found


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    hardware = ["gpu", "nbval-skip", "skip-execution"]
    return run(
        tmp_path_factory.mktemp("notebooks"),
        good=[
            ("print(1); print(2)", []),
            ("raise OSError('no such device')", hardware),
            ("from IPython.display import HTML; display(HTML('<b>x</b>')); 6 * 7", []),
        ],
        taken_back=[("from IPython.display import clear_output; print(1); clear_output()", [])],
        updated=[("from IPython.display import display; d = display(1, display_id=True); d.update(2)", [])],
        bad=[("x = 1", []), ("assert x == 2", []), ("x", [])],
    )


def test_a_notebook_that_passed_is_found_with_its_outputs(ran):
    _, found = ran
    cells = found["good"].cells
    assert cells[0].outputs[0].text == "1\n2\n" and cells[1].outputs == []
    assert [o.output_type for o in cells[2].outputs] == ["display_data", "execute_result"]
    assert cells[2].outputs[0].data["text/html"] == "<b>x</b>" and cells[2].outputs[1].data["text/plain"] == "42"
    assert [cell.execution_count for cell in cells] == [1, None, 2]
    nbformat.validate(found["good"])


def test_a_notebook_with_a_failed_cell_is_not(ran):
    done, found = ran
    assert done.returncode == 1 and "1 failed" in done.stdout and "bad" not in found


def test_outputs_that_change_are_left_to_the_book(ran):
    _, found = ran
    assert set(found) == {"good"}


def test_part_of_a_notebook_is_not_the_notebook(tmp_path):
    done, found = run(tmp_path, "--deselect", "some.ipynb::Cell 1", some=[("1", []), ("2", [])])
    assert done.returncode == 0 and "1 passed" in done.stdout and not found
