"""What measures time and has failed is judged once more; what is wrong fails twice, and anything else at once."""

import os
import subprocess
import sys
from types import SimpleNamespace

import nbformat
import pytest

from cvprod.book import notebooks, pytest_again
from cvprod.repo import ROOT

#: Fails when it is run first, and not after that: a neighbour who has gone.
ONCE = "from pathlib import Path\nseen = Path('{0}')\nknown = seen.exists()\nseen.touch()\nassert known"
ALWAYS = "assert 1 + 1 == 3"
QUICK = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # the other plugins take seconds to import


def run(folder, **sources):
    """Run notebooks (three cells, the source in the second) and test files (`test_...`; marked alone where `timed`).

    Returns the first run, what it wrote down, and the second run.
    """
    for name, source in sources.items():
        if name.startswith("test_"):
            mark = "import pytest\n@pytest.mark.alone\n" if "timed" in name else ""
            body = "".join(f"    {line}\n" for line in source.format(name).splitlines())
            (folder / f"{name}.py").write_text(f"{mark}def test_it():\n{body}")
        else:
            code = ("first = 1", f"{source.format(name)}\nsecond = first", "second")
            cells = [nbformat.v4.new_code_cell(text) for text in code]
            notebooks.write(nbformat.v4.new_notebook(cells=cells), folder / f"{name}.ipynb")
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n    alone: measures time\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "nbval.plugin", "-p", "cvprod.book.pytest_again"]
    command += ["--nbval-lax", "--nbval-current-env", "."]
    options = {"cwd": folder, "capture_output": True, "text": True, "timeout": 120, "check": False}
    first = subprocess.run(command, **options, env=QUICK)
    second = None
    if written := pytest_again.noted(folder):
        command = [sys.executable, "-m", "cvprod.book.pytest_again"]
        second = subprocess.run(command, **options, env=QUICK | {"PYTEST_ADDOPTS": "-p nbval.plugin"})
    return first, written, second


def test_a_neighbours_doing_is_forgiven_and_the_whole_chapter_runs_again(tmp_path):
    first, written, second = run(tmp_path, chapter=ONCE, test_timed=ONCE, other="first")
    assert first.returncode == 1 and written == ["chapter.ipynb", "test_timed.py::test_it"]
    assert second.returncode == 0 and "4 passed" in second.stdout  # all cells of the notebook, and the test
    assert "once more with nothing beside it: chapter.ipynb, test_timed.py::test_it" in second.stdout
    assert pytest_again.noted(tmp_path) == []  # used up: what ends before it has tested anything is not forgiven by it


def test_what_is_wrong_fails_twice(tmp_path):
    first, written, second = run(tmp_path, chapter=ALWAYS)
    assert first.returncode == 1 and written == ["chapter.ipynb"]
    assert second.returncode == 1 and "2 failed, 1 passed" in second.stdout


@pytest.mark.parametrize(
    "sources", [{"test_other": ONCE}, {"test_other": ONCE, "chapter": ONCE}, {"chapter": "raise OSError('no disk')"}]
)
def test_what_is_no_claim_about_time_has_one_chance(tmp_path, sources):
    first, written, _ = run(tmp_path, **sources)
    assert first.returncode == 1 and written == []


@pytest.mark.parametrize(
    ("name", "said", "again"),
    [
        ("tests/terraform/test_a.py::test_b", "AssertionError at setup", "tests/terraform/test_a.py"),
        ("notebooks/a.ipynb::Cell 0", "RuntimeError: Kernel didn't respond in 60 seconds", "notebooks/a.ipynb"),
        ("tests/test_a.py::test_b[1]", "worker 'gw0' crashed while running 'tests/test_a.py'", None),
        ("tests/deploy/haproxy/test_a.py::test_b", "AssertionError: it did not come about", None),
        ("notebooks/a.ipynb::Cell 3", "worker 'gw1' crashed while running 'a.ipynb'", "notebooks/a.ipynb"),
    ],
)
def test_a_kernel_that_never_answered_a_process_that_died_and_real_programs_have_another_chance(name, said, again):
    kept = {}
    failures = pytest_again.Failures()
    when = "setup" if "setup" in said else "call"
    report = pytest.TestReport(name, ("", 0, ""), {}, "failed", said, when)
    failures.pytest_runtest_logreport(report)
    failures.pytest_runtest_logreport(report)
    config = SimpleNamespace(cache=SimpleNamespace(set=kept.__setitem__))
    failures.pytest_sessionfinish(SimpleNamespace(config=config), pytest.ExitCode.TESTS_FAILED)
    assert dict.fromkeys(kept[pytest_again.KEY]) == {again or name: None}


def test_the_folders_of_real_programs_exist():
    assert all((ROOT / path).exists() for path in pytest_again.PROGRAMS)


def test_many_failures_are_no_neighbours_doing(tmp_path):
    first, written, _ = run(tmp_path, **{f"test_timed{n}": ONCE for n in range(pytest_again.MOST + 1)})
    assert first.returncode == 1 and written == []


def test_after_a_good_run_nothing_is_left_to_do(tmp_path, monkeypatch):
    run(tmp_path, test_timed=ONCE)
    first, written, _ = run(tmp_path)
    assert first.returncode == 0 and written == []
    monkeypatch.setattr(pytest_again.subprocess, "run", None)
    assert pytest_again.main(tmp_path) != 0


@pytest.mark.parametrize("content", [None, "", "{", "{}"])
def test_without_a_record_there_is_nothing_to_do(tmp_path, content):
    if content is not None:
        pytest_again.record(tmp_path).parent.mkdir(parents=True)
        pytest_again.record(tmp_path).write_text(content)
    assert pytest_again.main(tmp_path) != 0
