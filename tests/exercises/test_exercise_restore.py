"""A student's notebook that lost its metadata, or its tests, is made whole; what only the student knows is reported."""

import copy
import json
from pathlib import Path

import pytest
from in_process import marks

from cvprod.book import notebooks
from cvprod.exercises.__main__ import main
from cvprod.exercises.course import ExerciseError, discover, grade_id
from cvprod.exercises.generate import text
from cvprod.exercises.restore import identify, read_submission, restore

EXERCISES = discover()
BY_NAME = {exercise.name: exercise for exercise in EXERCISES}
EXERCISE = BY_NAME["01b_coordinated_omission"]
ANSWER, TEST = "01b_backfill", "01b_backfill_test"


@pytest.fixture
def release():
    return notebooks.read(EXERCISE.release_path)


def _find(notebook, name):
    return next(cell for cell in notebook.cells if grade_id(cell) == name)


def _restored(notebook, release, *, problems=()):
    result = restore(notebook, EXERCISE, release)
    assert len(result.problems) == len(problems), result.problems
    for problem, says in zip(result.problems, problems, strict=True):
        assert says in problem
    return result


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_round_trip_without_any_metadata(exercise):
    """What Colab does: cell metadata, cell ids and notebook metadata all gone."""
    release = notebooks.read(exercise.release_path)
    lost = copy.deepcopy(release)
    lost.metadata = {"colab": {"provenance": []}}
    for index, cell in enumerate(lost.cells):
        cell.metadata = {"colab": {"base_uri": "x"}}
        cell.id = f"colab{index}"
    result = restore(lost, exercise, release)
    assert not result.problems
    assert text(release) != text(lost)
    assert result.notebook.metadata == release.metadata
    for old, new in zip(release.cells, result.notebook.cells, strict=True):
        assert new.source == old.source
        assert new.metadata.get("nbgrader") == old.metadata.get("nbgrader")
        if "nbgrader" in old.metadata:
            assert (new.id, new.metadata) == (old.id, old.metadata)


def test_students_work_is_kept(release):
    student = copy.deepcopy(release)
    answer = _find(student, ANSWER)
    answer.source = f"# grade_id: {ANSWER}\ndef backfill(latencies, period):\n    return latencies"
    answer.metadata = {}
    student.cells.insert(3, notebooks.nbformat.v4.new_markdown_cell("my notes"))
    before = copy.deepcopy(student)
    result = _restored(student, release)
    assert student == before, "the argument itself was changed"
    assert [cell.source for cell in result.notebook.cells] == [cell.source for cell in student.cells]


def test_changed_test_is_replaced(release):
    student = copy.deepcopy(release)
    _find(student, TEST).source = f"# grade_id: {TEST} (3 points)\npass"
    result = _restored(student, release)
    assert _find(result.notebook, TEST).source == _find(release, TEST).source
    assert any(TEST in note and "replaced" in note for note in result.notes)


def test_lost_comment_is_no_loss_while_the_metadata_are_there(release):
    student = copy.deepcopy(release)
    cell = _find(student, TEST)
    cell.source = cell.source.split("\n", 1)[1]
    result = _restored(student, release)
    assert _find(result.notebook, TEST).source == _find(release, TEST).source


def test_missing_test_comes_back_behind_its_answer(release):
    student = copy.deepcopy(release)
    student.cells.remove(_find(student, TEST))
    result = _restored(student, release)
    names = [grade_id(cell) for cell in result.notebook.cells]
    assert names[names.index(ANSWER) + 1] == TEST


def test_copied_test_is_removed(release):
    student = copy.deepcopy(release)
    student.cells.append(copy.deepcopy(_find(student, TEST)))
    result = _restored(student, release)
    assert [grade_id(cell) for cell in result.notebook.cells].count(TEST) == 1


def test_test_cell_turned_into_text_comes_back(release):
    student = json.loads(text(release))
    for cell in student["cells"]:
        if cell["id"] == TEST:
            cell["cell_type"], cell["source"] = "markdown", f"# grade_id: {TEST}"
            del cell["outputs"], cell["execution_count"]
    result = _restored(notebooks.nbformat.reads(json.dumps(student), as_version=4), release)
    assert _find(result.notebook, TEST).cell_type == "code"


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_missing_set_up_comes_back_in_front(exercise):
    release = notebooks.read(exercise.release_path)
    order = [cell.source for cell in release.cells if cell.cell_type == "code"]
    for lost in [*([source] for source in exercise.setup), list(exercise.setup)]:
        student = copy.deepcopy(release)
        student.cells = [cell for cell in student.cells if cell.source.strip() not in lost]
        assert len(student.cells) == len(release.cells) - len(lost)
        result = restore(student, exercise, release)
        assert [cell.source for cell in result.notebook.cells if cell.cell_type == "code"] == order
        assert [note for note in result.notes if "missing set-up put back" in note] == result.notes
        assert len(result.notes) == len(lost)


def test_set_up_moved_behind_the_answers_runs_in_front_of_them_too(release):
    student = copy.deepcopy(release)
    student.cells.sort(key=lambda cell: cell.source.strip() in EXERCISE.setup)
    result = _restored(student, release)
    code = [cell.source for cell in result.notebook.cells if cell.cell_type == "code"]
    assert code[: len(EXERCISE.setup)] == code[-len(EXERCISE.setup) :] == list(EXERCISE.setup)
    assert len({cell.id for cell in result.notebook.cells}) == len(result.notebook.cells)


def test_perfect_answers_without_their_set_up_keep_every_point():
    student = copy.deepcopy(EXERCISE.source)
    student.cells = [cell for cell in student.cells if cell.source.strip() not in EXERCISE.setup]
    assert all(mark.points == mark.maximum for mark in marks(EXERCISE, student).values())


def test_missing_answer_is_a_problem(release):
    student = copy.deepcopy(release)
    student.cells.remove(_find(student, ANSWER))
    _restored(student, release, problems=[f"{ANSWER}: the answer cell is missing"])


def test_doubled_answer_is_a_problem_and_the_last_counts(release):
    student = copy.deepcopy(release)
    twin = copy.deepcopy(_find(student, ANSWER))
    student.cells.append(twin)
    result = _restored(student, release, problems=[f"{ANSWER}: 2 cells carry this grade id"])
    marked = [c for c in result.notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") == ANSWER]
    assert marked == [result.notebook.cells[-1]]


def test_mistyped_grade_id_is_a_problem_that_lists_the_real_ones(release):
    student = copy.deepcopy(release)
    cell = _find(student, ANSWER)
    cell.source, cell.metadata = cell.source.replace("backfill", "backfil", 1), {}
    _restored(student, release, problems=["01b_backfil: no such grade id", "01b_backfill: the answer cell is missing"])


def test_every_exercise_is_recognised_by_its_ids_whatever_the_file_is_called():
    for exercise in EXERCISES:
        assert (
            identify(notebooks.read(exercise.release_path), EXERCISES, Path("Copy of homework (1).ipynb")).name
            == exercise.name
        )
    with pytest.raises(ExerciseError, match="no grade id of any exercise"):
        identify(notebooks.nbformat.v4.new_notebook(), EXERCISES, Path("essay.ipynb"))


def test_command_writes_a_file_beside_and_leaves_the_students_alone(release, tmp_path, capsys):
    for cell in release.cells:
        cell.metadata = {}
    path = tmp_path / "homework.ipynb"
    path.write_text(text(release))
    before = path.read_bytes()
    assert main(["restore", str(path)]) == 0
    assert path.read_bytes() == before
    assert json.loads((tmp_path / "homework-restored.ipynb").read_text()) == json.loads(
        EXERCISE.release_path.read_text()
    )
    assert f"{TEST}: metadata restored" in capsys.readouterr().out


def test_command_refuses_what_it_cannot_mend(release, tmp_path, capsys):
    release.cells.remove(_find(release, ANSWER))
    path = tmp_path / "homework.ipynb"
    path.write_text(text(release))
    assert main(["restore", str(path)]) == 1
    assert "nothing written" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [path]


def test_command_refuses_half_a_character_and_leaves_no_litter(release, tmp_path, capsys):
    _find(release, ANSWER).source += "\nx = '\ud800'"
    path = tmp_path / "homework.ipynb"
    path.write_text(json.dumps(release))
    assert main(["restore", str(path)]) == 1
    assert "homework.ipynb: half a character" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"cells": 3, "nbformat": 4, "nbformat_minor": 5}', "\x00\x01"])
def test_not_a_notebook_is_an_error_that_names_the_file(content, tmp_path):
    path = tmp_path / "homework.ipynb"
    path.write_text(content)
    with pytest.raises(ExerciseError, match=r"homework\.ipynb"):
        read_submission(path)
