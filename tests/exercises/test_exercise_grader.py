"""The real grader, kernel and all, on a friendly folder and on a hostile notebook."""

import copy
import csv
import json
import shutil
from pathlib import Path

import psutil
import pytest

from cvprod.book import notebooks
from cvprod.exercises import batch, sandbox
from cvprod.exercises.__main__ import main
from cvprod.exercises.course import COURSE, discover, grade_id, named
from cvprod.exercises.generate import text
from cvprod.exercises.grade import Limits, grade_file
from cvprod.exercises.runner import Runner

EXERCISES = discover()
EXERCISE = named(EXERCISES, "01b_coordinated_omission")


def _solved():
    """The source's answers in the released notebook: a perfect student."""
    notebook = copy.deepcopy(notebooks.read(EXERCISE.release_path))
    answers = {grade_id(c): c.source for c in EXERCISE.source.cells if c.metadata.get("nbgrader", {}).get("solution")}
    for cell in notebook.cells:
        cell.source = answers.get(grade_id(cell), cell.source)
    return notebook


def _edited(question, source):
    """A perfect student's notebook with one other answer."""
    notebook = _solved()
    for cell in notebook.cells:
        if grade_id(cell) == question:
            cell.source = f"# grade_id: {question}\n{source}"
    return notebook


READS = f"""
import os
from pathlib import Path
def backfill(latencies, period):
    return eval(Path({str(EXERCISE.source_path)!r}).read_text())
"""
WRITES = f"open({str(COURSE / 'README.md')!r}, 'a').write('x')"
HOG = """
import numpy as np
def backfill(latencies, period):
    return np.ones(6 << 27)
"""


def test_class_with_perfect_lost_broken_greedy_and_curious_notebooks(tmp_path, capsys):
    """Through the command and real kernels: everyone has a mark or a reason, and the course is as it was."""
    perfect = _solved()
    for cell in perfect.cells:
        cell.metadata = {}  # handed in from Colab
    perfect.cells.insert(
        2, notebooks.nbformat.v4.new_code_cell("import warnings; warnings.warn('only a warning')\nexit()")
    )
    handed_in, marks = tmp_path / "in", tmp_path / "out"
    (handed_in / "ada").mkdir(parents=True)
    (handed_in / "ada" / "work.ipynb").write_text(text(perfect))
    (handed_in / "bob.ipynb").write_text("not json")
    (handed_in / "eve.ipynb").write_text(text(notebooks.nbformat.v4.new_notebook()))
    (handed_in / "fay.ipynb").write_text(text(_edited("01b_backfill", HOG)))
    (handed_in / "gus.ipynb").write_text(text(_edited("01b_backfill", READS + WRITES)))
    before = {path: path.read_bytes() for folder in (handed_in, COURSE) for path in folder.rglob("*.ipynb")}

    status = main(["grade", str(handed_in), "-o", str(marks)])

    said = capsys.readouterr().out
    assert status == 1, "two notebooks could not be graded"
    rows = {row["student"]: row for row in csv.DictReader((marks / "marks.csv").open())}
    assert {name: row["points"] for name, row in rows.items()} == {
        "ada": "10.0",
        "bob": "",
        "eve": "",
        "fay": "7.0",
        "gus": "7.0",
    }
    assert "not a readable notebook" in rows["bob"]["why"] and "no grade id" in rows["eve"]["why"]
    questions = {(r["student"], r["question"]): r["reason"] for r in csv.DictReader((marks / "questions.csv").open())}
    assert "MemoryError" in questions["fay", "backfill"]
    assert "its code names the course's files" in rows["gus"]["look_at"]
    assert f"tried to read {EXERCISE.source_path}" in rows["gus"]["look_at"] or "write" in rows["gus"]["look_at"]
    assert {path: path.read_bytes() for path in before} == before
    assert "3 of 3" in said and "10 of 10" in said
    page = (marks / "feedback" / f"gus-{EXERCISE.name}.html").read_text()
    assert "7 of 10 points" in page and "Errno" not in page

    main(["grade", str(handed_in), "-o", str(marks)])
    assert "3 marked already, 0 to do" in capsys.readouterr().out


@pytest.mark.skipif(bool(sandbox.refused()), reason=f"no namespaces here: {sandbox.refused()}")
def test_a_kernel_sees_no_answers_no_neighbours_and_no_network_and_cannot_write_the_course():
    with Runner(cell_seconds=20) as runner:
        look = f"""
import os, socket, subprocess
from pathlib import Path
course = Path({str(COURSE)!r})
assert (course / "release").is_dir()
assert not os.listdir(course / "source")
assert not (course.parent / "tests/exercises").is_dir() or not os.listdir(course.parent / "tests/exercises")
subprocess.run(["umount", course / "source"], capture_output=True)
assert not os.listdir(course / "source")
assert len(os.listdir(Path.cwd().parents[1])) == 1
"""
        assert not _errors(runner, look)
        (said,) = _errors(runner, "(course / 'README.md').write_text('')")
        assert "Read-only" in said
        (said,) = _errors(runner, "socket.create_connection(('192.0.2.1', 80), timeout=5)")
        assert "unreachable" in said


def test_without_namespaces_the_course_is_put_back_and_the_notebook_named(tmp_path, monkeypatch, capsys):
    course, handed_in = tmp_path / "course", tmp_path / "in"
    shutil.copytree(COURSE / "source" / EXERCISE.name, course / "source" / EXERCISE.name)
    target = course / "source" / EXERCISE.name / f"{EXERCISE.name}.ipynb"
    before = target.read_bytes()
    handed_in.mkdir()
    vandal = f"open({str(target)!r}, 'w').write('x')\nopen({str(course / 'new')!r}, 'w').write('x')"
    (handed_in / "mia.ipynb").write_text(text(_edited("01b_backfill", vandal)))
    for module in (sandbox, batch):
        monkeypatch.setattr(module, "refused", lambda: "this is a test")
    assert main(["--course", str(course), "grade", str(handed_in), "-o", str(tmp_path / "out")]) == 0
    assert target.read_bytes() == before and not (course / "new").exists()
    said = capsys.readouterr().out
    assert "no isolation on this system: this is a test" in said
    assert "it was put back" in said and "it was moved to" in said
    aside = tmp_path / "out" / "put-aside" / "course"
    assert (aside / "new").read_text() == (aside / target.relative_to(course)).read_text() == "x"


def test_check_runs_what_students_see(tmp_path, capsys):
    passes = Path(__file__).parent / "wrong" / EXERCISE.name / "backfill__copies.py"
    path = tmp_path / "ada.ipynb"
    path.write_text(text(_edited("01b_backfill", passes.read_text())))
    main(["check", str(path)])
    said = capsys.readouterr().out
    assert "01b_coordinated_omission" in said and "hidden ones try other inputs" in said
    assert [p.name for p in tmp_path.iterdir()] == ["ada.ipynb"]


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

    report = grade_file(path, EXERCISES, limits=Limits(cell_seconds=3))

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


@pytest.mark.parametrize(
    "wrong", [["--seconds", "0"], ["--memory", "nan"], ["-o", "."], ["--jobs", "0"], ["--question", "01b_backfill"]]
)
def test_wrong_options_are_told_before_any_notebook_is_run(tmp_path, monkeypatch, capsys, wrong):
    (tmp_path / "a.ipynb").write_text("{}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(batch, "collect", lambda *_, **__: pytest.fail("the folder was read"))
    out = [] if "-o" in wrong else ["-o", str(tmp_path.parent / "elsewhere")]
    assert main(["grade", ".", *out, *wrong]) == 1
    assert wrong[0] in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["a.ipynb"]
