"""The real grader, kernel and all, on a friendly folder and on a hostile notebook."""

import copy
import json

from cvprod.lab import notebooks
from cvprod.lab.exercises.__main__ import main
from cvprod.lab.exercises.course import discover, grade_id
from cvprod.lab.exercises.generate import text
from cvprod.lab.exercises.grade import grade_file

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

    report = grade_file(path, EXERCISES, cell_seconds=8)

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
