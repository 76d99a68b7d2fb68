"""The real grader, kernel and all, on a friendly folder and on a hostile notebook."""

import copy
import io
import json
import os
import sys

import psutil
import pytest

from cvprod.book import notebooks
from cvprod.exercises import grade
from cvprod.exercises.__main__ import main
from cvprod.exercises.course import discover, grade_id
from cvprod.exercises.generate import text
from cvprod.exercises.grade import Mark, Report, grade_file
from cvprod.exercises.runner import Runner

EXERCISES = discover()
EXERCISE = next(exercise for exercise in EXERCISES if exercise.name == "01b_coordinated_omission")


def _solved():
    """The source's answers in the released notebook: a perfect student."""
    notebook = copy.deepcopy(notebooks.read(EXERCISE.release_path))
    answers = {grade_id(c): c.source for c in EXERCISE.source.cells if c.metadata.get("nbgrader", {}).get("solution")}
    for cell in notebook.cells:
        cell.source = answers.get(grade_id(cell), cell.source)
    return notebook


def test_folder_with_a_perfect_a_lost_and_a_broken_notebook(tmp_path, capsys):
    perfect = _solved()
    for cell in perfect.cells:
        cell.metadata = {}  # handed in from Colab
    perfect.cells.insert(
        2, notebooks.nbformat.v4.new_code_cell("import warnings; warnings.warn('only a warning')\nexit()")
    )
    (tmp_path / "ada").mkdir()
    (tmp_path / "ada" / "work.ipynb").write_text(text(perfect))
    (tmp_path / "bob.ipynb").write_text("not json")
    (tmp_path / "eve.ipynb").write_text(text(notebooks.nbformat.v4.new_notebook()))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.ipynb")}

    status = main(["grade", str(tmp_path), "--json", str(tmp_path / "out.json")])

    assert status == 1, "two notebooks could not be graded"
    ada, bob, eve = json.loads((tmp_path / "out.json").read_text())
    assert (ada["points"], ada["maximum"], ada["error"]) == (10, 10, "")
    assert "not a readable notebook" in bob["error"] and "no grade id" in eve["error"]
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.ipynb")} == before
    assert "10 of 10 points" in capsys.readouterr().out


HOSTILE = {
    # swallows the interrupt with which nbgrader would try to end it
    "01b_open_loop_latency": """
def open_loop_latency(intended, service):
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass
""",
    "01b_backfill": """
import os

def backfill(latencies, period):
    os._exit(0)
""",
}


def test_endless_loop_and_dead_kernel_cost_only_their_own_question(tmp_path):
    notebook = _solved()
    for cell in notebook.cells:
        name = grade_id(cell)
        if name in HOSTILE:
            cell.source = f"# grade_id: {name}{HOSTILE[name]}"
    path = tmp_path / "mallory.ipynb"
    path.write_text(text(notebook))
    before = path.read_bytes()

    report = grade_file(path, EXERCISES, cell_seconds=3)

    loop, death, honest = report.marks
    assert loop.points == 0 and "endless loop" in loop.reason
    assert death.points == 0 and "died" in death.reason
    assert honest.points == honest.maximum == 3, honest.reason
    assert path.read_bytes() == before


def test_broken_setup_is_reported_and_not_blamed_on_the_student(tmp_path):
    """Whatever breaks the book's own first cell (here a cell put before it): no marks rather than zero points."""
    notebook = _solved()
    notebook.cells.insert(0, notebooks.nbformat.v4.new_code_cell("import sys\nsys.modules['numpy'] = None"))
    path = tmp_path / "carol.ipynb"
    path.write_text(text(notebook))
    report = grade_file(path, EXERCISES)
    assert report.marks == []
    assert "set-up cell failed" in report.error and "numpy" in report.error


def test_missing_folder_and_missing_exercises_say_so(tmp_path, capsys):
    assert main(["grade", str(tmp_path / "nowhere")]) == 1
    assert "no notebook there" in capsys.readouterr().err
    assert main(["--course", str(tmp_path), "grade", str(EXERCISE.release_path)]) == 1
    assert "--course" in capsys.readouterr().err


def _errors(runner, source, **kind):
    cell = notebooks.nbformat.v4.new_code_cell(source)
    runner.run(cell, **kind)
    return [output.evalue for output in cell.outputs if output.output_type == "error"]


# Each ends its kernel, or sends what is no message; none may cost the cell after it.
BREAKING = {
    "removes its folder": "import os, shutil; shutil.rmtree(os.getcwd()); os._exit(0)",
    "no stream": "k = get_ipython().kernel; k.send_response(k.iopub_socket, 'stream', {})",
    "no status": "k = get_ipython().kernel; k.send_response(k.iopub_socket, 'status', {})",
    "no text": "text = '\ud800'",
}
TRAPS = """
import pathlib
startup = pathlib.Path(os.environ["IPYTHONDIR"], "profile_default", "startup")
startup.mkdir(parents=True, exist_ok=True)
for trap in (pathlib.Path("ipykernel_launcher.py"), startup / "00.py"):
    trap.write_text("import os; os._exit(3)")
"""


def test_whatever_a_cell_does_to_its_kernel_the_next_one_runs_in_a_sound_one():
    with Runner(cell_seconds=20) as runner:
        assert not _errors(runner, "import os; x = 1")
        assert not _errors(runner, TRAPS)
        for what, source in BREAKING.items():
            (said,) = _errors(runner, source)
            assert "died" in said or "could not go on" in said, what
            assert not _errors(runner, "assert x == 1"), what


CHEATS = {
    "empties the parsed test": """
import ast
class Empty(ast.NodeTransformer):
    def visit_Module(self, node):
        return ast.Module([], [])
get_ipython().ast_transformers.append(Empty())
""",
    "drops asserts from the text": """
ip = get_ipython()
ip.input_transformers_cleanup.append(lambda lines: [line for line in lines if "assert" not in line])
ip.input_transformers_post.append(lambda lines: [line for line in lines if "assert" not in line])
""",
    "replaces the step that reads a cell": "get_ipython().transform_cell = lambda text: '\\n'",
}


@pytest.mark.parametrize("cheat", CHEATS)
def test_a_test_is_run_as_it_is_written_or_gives_nothing(cheat):
    with Runner(cell_seconds=20) as runner:
        assert not _errors(runner, "assert 1 == 1", test=True)
        assert not _errors(runner, CHEATS[cheat])
        assert _errors(runner, "assert 1 == 2", test=True)


def _runs(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("end", ["pass", "os._exit(0)"])
def test_nothing_that_a_notebook_started_outlives_its_kernel(tmp_path, end):
    note = tmp_path / "pid"
    source = f"""
import os, pathlib, subprocess, sys
asleep = [sys.executable, "-c", "import time; time.sleep(600)"]
process = subprocess.Popen(asleep, start_new_session=True)
pathlib.Path({str(note)!r}).write_text(str(process.pid))
{end}
"""
    with Runner(cell_seconds=20) as runner:
        _errors(runner, source)
        pid = int(note.read_text())
        assert _runs(pid) == (end == "pass")
    assert not _runs(pid)


def test_odd_metadata_cost_a_student_nothing(tmp_path):
    notebook = json.loads(text(_solved()))
    for metadata in [{"nbgrader": None}, {"nbgrader": "x"}, {"nbgrader": {"grade_id": [1]}}, {"nbgrader": {}}]:
        cell = {"cell_type": "code", "id": "same", "source": "1", "outputs": [], "execution_count": None}
        notebook["cells"].append(cell | {"metadata": metadata})
    path = tmp_path / "dora.ipynb"
    path.write_text(json.dumps(notebook))
    report = grade_file(path, EXERCISES)
    assert (report.error, report.points) == ("", 10)


def test_one_notebook_that_breaks_the_grader_does_not_end_the_run(tmp_path, monkeypatch, capsys):
    names = [b"a.ipynb", b"b\xe9.ipynb", b"c.ipynb"]  # the second one's is no UTF-8
    for name in names:
        (tmp_path / os.fsdecode(name)).write_text("{}")
    saved, out = [], tmp_path / "out.json"

    def broken(path, *_):
        saved.append(len(json.loads(out.read_text())))
        if path.name == "a.ipynb":
            raise KeyError("name")
        return Report(str(path), "01b", [Mark("q", 1, 1)])

    monkeypatch.setattr(grade, "_grade_file", broken)
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="strict")
    monkeypatch.setattr(sys, "stdout", terminal)
    assert main(["grade", str(tmp_path), "--json", str(out)]) == 1
    assert saved == [0, 1, 2], "every report is on the disk before the next notebook is run"
    first, *others = json.loads(out.read_text())
    assert "KeyError" in first["error"] and [report["points"] for report in others] == [1, 1]
    terminal.seek(0)
    assert "b\\udce9.ipynb: 01b, 1 of 1" in terminal.read()


@pytest.mark.parametrize("wrong", [["--seconds", "0"], ["--seconds", "nan"], ["--json", "no/m.json"], ["--json", "."]])
def test_wrong_options_are_told_before_any_notebook_is_run(tmp_path, monkeypatch, capsys, wrong):
    (tmp_path / "a.ipynb").write_text("{}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(grade, "grade_file", lambda *_, **__: pytest.fail("a notebook was graded"))
    assert main(["grade", ".", *wrong]) == 1
    assert wrong[0] in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["a.ipynb"]


def test_a_vanished_place_for_the_reports_costs_the_reports_alone(tmp_path, monkeypatch, capsys):
    (tmp_path / "a.ipynb").write_text("{}")
    place = tmp_path / "place"
    place.mkdir()

    def removes_it(path, *_):
        (place / "out.json").unlink()
        place.rmdir()
        return Report(str(path), "01b", [Mark("q", 1, 1)])

    monkeypatch.setattr(grade, "_grade_file", removes_it)
    assert main(["grade", str(tmp_path), "--json", str(place / "out.json")]) == 1
    told = capsys.readouterr()
    assert "1 of 1 points" in told.out and "cannot be written" in told.err
