"""The committed notebooks: sources keep the rules; releases are fresh, tell nothing, and equal nbgrader's."""

import copy
import itertools
import os
import re
import shutil
import sys
from pathlib import Path

import nbformat
import pytest

from cvprod.book import notebooks
from cvprod.exercises.__main__ import main
from cvprod.exercises.course import COURSE, Exercise, discover, faults, grade_id
from cvprod.exercises.generate import generate, text

EXERCISES = discover()
each = pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)


def test_sources_are_normalised_and_releases_fresh():
    assert generate(check=True) == [], "run: make exercises"


@each
def test_source_keeps_the_rules(exercise):
    assert faults(exercise) == []


def test_grade_ids_are_unique_in_the_book_and_repeated_as_comments():
    ids = []
    for exercise in EXERCISES:
        for cell in notebooks.read(exercise.release_path).cells:
            if "nbgrader" in cell.metadata:
                name = cell.metadata.nbgrader.grade_id
                assert cell.source.startswith(f"# grade_id: {name}"), name
                ids.append(name)
    assert len(ids) == len(set(ids)) >= 4 * len(EXERCISES)


@each
def test_release_is_the_source_without_its_secrets(exercise):
    """Cell by cell, with the regions cut out by a second, independent reading of the marks."""
    release = notebooks.read(exercise.release_path)
    assert "SOLUTION" not in text(release) and "HIDDEN" not in text(release)
    secret = 0
    for source, shown in zip(exercise.source.cells, release.cells, strict=True):
        want, answers = re.subn(
            r"( *)### BEGIN SOLUTION\n.*?### END SOLUTION",
            r"\1# YOUR CODE HERE\n\1raise NotImplementedError()",
            source.source,
            flags=re.DOTALL,
        )
        want, tests = re.subn(r"\n### BEGIN HIDDEN TESTS\n.*### END HIDDEN TESTS", "", want, flags=re.DOTALL)
        assert shown.source == want
        assert shown.cell_type == "markdown" or not shown.outputs
        secret += answers + tests
    assert secret >= 2 * len(exercise.questions) > 0


@each
def test_release_parses_and_asks_for_every_answer(exercise):
    cells = notebooks.read(exercise.release_path).cells
    answers = [c for c in cells if c.metadata.get("nbgrader", {}).get("solution")]
    assert len(answers) == len(exercise.questions)
    for cell in answers:
        assert "raise NotImplementedError()" in cell.source
        compile(cell.source, cell.id, "exec")
        assert cell.metadata.deletable is False
    for cell in cells:
        if cell.metadata.get("nbgrader", {}).get("grade"):
            assert cell.metadata.editable is False and cell.metadata.nbgrader.checksum


@pytest.fixture
def course(tmp_path):
    """A course of its own with one exercise, free to break."""
    shutil.copytree(COURSE / "source" / EXERCISES[0].name, tmp_path / "source" / EXERCISES[0].name)
    generate(tmp_path)
    return tmp_path


def _edit(course, change):
    (exercise,) = discover(course)
    notebook = copy.deepcopy(exercise.source)
    change(notebook)
    exercise.source_path.write_text(text(notebook))
    return Exercise(exercise.name, course)


def _cell(notebook, kind):
    return next(cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get(kind))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda nb: _cell(nb, "solution").update(source="x = 1"), "metadata differ"),
        (lambda nb: _cell(nb, "grade").metadata.nbgrader.update(points=5), "metadata differ"),
        (lambda nb: nb.cells.append(copy.deepcopy(_cell(nb, "grade"))), "used 2 times"),
        (lambda nb: nb.cells.remove(_cell(nb, "grade")), "has no test cell"),
        (lambda nb: nb.cells.remove(_cell(nb, "grade")), "points in all"),
        (lambda nb: nb.cells.remove(_cell(nb, "solution")), "there is no answer cell"),
        (lambda nb: _cell(nb, "grade").update(source=_cell(nb, "grade").source + "\n1"), "ends with an expression"),
        (lambda nb: _cell(nb, "grade").update(source=_cell(nb, "grade").source.split("### B")[0]), "hidden ones"),
        (
            lambda nb: _cell(nb, "grade").update(source=_cell(nb, "grade").source.replace("\n", "\nassert 1\n", 1)),
            "no message",
        ),
        (
            lambda nb: _cell(nb, "grade").update(
                source=_cell(nb, "grade").source.replace("### E", "assert 1, (nb, 2)\n### E")
            ),
            "no message",
        ),
        (lambda nb: nb.cells.pop(1), "bootstrap"),
        (lambda nb: nb.cells[0].update(source="# Title"), "lacks the line"),
        (lambda nb: nb.metadata.pop("mystnb"), "execution_mode"),
    ],
)
def test_broken_source_is_named(course, change, says):
    assert any(says in fault for fault in faults(_edit(course, change))), faults(discover(course)[0])


def test_generate_finds_and_mends_what_is_stale(course, capsys):
    (exercise,) = discover(course)
    assert generate(course, check=True) == []
    fresh = exercise.release_path.read_text()
    exercise.release_path.write_text(fresh.replace("raise NotImplementedError()", "return 3"))
    (course / "release" / "99_gone").mkdir()
    for stray in ("release/.DS_Store", "release/notes.txt", "source/.ipynb_checkpoints/old.ipynb"):
        (course / stray).parent.mkdir(exist_ok=True)
        (course / stray).touch()
    assert main(["--course", str(course), "generate", "--check"]) == 1
    told = capsys.readouterr().out
    assert "stale release/99_gone" in told and ".DS_Store" not in told
    assert main(["--course", str(course), "generate"]) == 0
    assert exercise.release_path.read_text() == fresh
    assert not (course / "release" / "99_gone").exists()


def test_metadata_come_from_the_comments(course):
    """An author writes the comment; an editor that lost the metadata costs nothing."""

    def lose(notebook):
        for cell in notebook.cells:
            cell.metadata.pop("nbgrader", None)

    before = discover(course)[0].source_path.read_text()
    _edit(course, lose)
    generate(course)
    assert discover(course)[0].source_path.read_text() == before


def test_course_without_exercises_is_an_error_that_says_what_to_do(tmp_path, capsys):
    assert main(["--course", str(tmp_path), "generate"]) == 1
    assert "--course" in capsys.readouterr().err


@pytest.fixture(scope="module")
def nbgrader_course(tmp_path_factory):
    """A course folder as an instructor has it, with this project's nbgrader_config.py."""
    from nbgrader.apps import NbGraderAPI
    from traitlets.config import PyFileConfigLoader

    root = tmp_path_factory.mktemp("nbgrader")
    config = PyFileConfigLoader("nbgrader_config.py", path=str(COURSE)).load_config()
    config.CourseDirectory.root = str(root)
    config.CourseDirectory.db_url = f"sqlite:///{root / 'gradebook.db'}"
    name = "01b_coordinated_omission"
    shutil.copytree(COURSE / "source" / name, root / "source" / name)
    with pytest.MonkeyPatch.context() as patch:
        # nbgrader runs the alembic command, which lies beside this interpreter
        patch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
        api = NbGraderAPI(config=config)
        outcome = api.generate_assignment(name)
        assert outcome["success"], outcome
        yield root, Exercise(name), api


def test_release_is_what_nbgrader_generates(nbgrader_course):
    root, exercise, _ = nbgrader_course
    theirs = nbformat.read(root / "release" / exercise.name / f"{exercise.name}.ipynb", as_version=4)
    assert theirs == notebooks.read(exercise.release_path)


def test_scores_are_those_of_nbgrader(nbgrader_course):
    """The real `nbgrader autograde`, database and all, and this project's grader agree, question by question."""
    from in_process import marks
    from nbgrader.api import Gradebook

    root, exercise, api = nbgrader_course
    notebook = notebooks.read(exercise.release_path)
    source = {grade_id(cell): cell.source for cell in exercise.source.cells}
    wrong = COURSE.parent / "tests" / "exercises" / "wrong" / exercise.name / "backfill__copies.py"
    for cell, answer in zip(
        (cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("solution")),
        (source["01b_open_loop_latency"], f"# grade_id: 01b_backfill\n{wrong.read_text()}"),
        strict=False,
    ):
        cell.source = answer
    path = root / "submitted" / "ada" / exercise.name / f"{exercise.name}.ipynb"
    path.parent.mkdir(parents=True)
    path.write_text(text(notebook))
    outcome = api.autograde(exercise.name, "ada")
    assert outcome["success"], outcome
    with Gradebook(api.coursedir.db_url) as gradebook:
        grades = gradebook.find_submission(exercise.name, "ada").notebooks[0].grades
        theirs = {grade.name: grade.auto_score for grade in grades}
    ours = {f"01b_{question}_test": mark.points for question, mark in marks(exercise, notebook).items()}
    assert theirs == ours
    assert sorted(ours.values()) == [0, 0, 4]


def test_titles_number_the_exercises_in_order():
    of_chapters = [exercise for exercise in EXERCISES if exercise.name[0].isdigit()]
    titles = [re.match(r"# Exercise (\d+)([a-z]): ", exercise.source.cells[0].source) for exercise in of_chapters]
    assert all(titles), "a title reads '# Exercise 1a: ...'"
    assert [f"{int(title[1]):02d}{title[2]}" for title in titles] == [exercise.prefix for exercise in of_chapters]
    for _, group in itertools.groupby(titles, key=lambda title: title[1]):
        letters = [title[2] for title in group]
        assert letters == list("abcdefg"[: len(letters)]) and len(letters) >= 2, "two or three exercises a chapter"


def test_capstones_are_numbered_and_give_twenty_points():
    capstones = [exercise for exercise in EXERCISES if not exercise.name[0].isdigit()]
    assert capstones
    for exercise in capstones:
        title = re.match(r"# Capstone (\d): ", exercise.source.cells[0].source)
        assert title and exercise.prefix == f"c{title[1]}", "a title reads '# Capstone 1: ...', a name c1_..."
        assert sum(question.points for question in exercise.questions) == exercise.points == 20


def test_readme_lists_every_exercise_and_links_lead_somewhere():
    readme = (COURSE / "README.md").read_text()
    links = re.findall(r"\]\(([^)#]+)", readme)
    assert {f"release/{e.name}/{e.name}.ipynb" for e in EXERCISES} <= set(links)
    assert all((COURSE / link).exists() for link in links if "://" not in link)
    for exercise in EXERCISES:
        for cell in exercise.source.cells:
            for link in re.findall(r"\]\((\.\./[^)#]+)\)", cell.source):
                assert (exercise.release_path.parent / link).resolve().exists(), f"{exercise.name}: {link}"
