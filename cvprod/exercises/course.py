"""What an exercise is, where it lies and which rules its source keeps."""

from __future__ import annotations

import ast
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import nbformat

from cvprod.book import notebooks
from cvprod.repo import ROOT, repository

COURSE = ROOT / "exercises"
#: First line of every graded cell; a test's also has "(3 points)". Editors that drop cell metadata keep comments.
GRADE_ID = re.compile(r"^#[ \t]*grade_id:[ \t]*([\w-]+)(?:[ \t]+\(([\d.]+) points?\))?", re.MULTILINE)
TEST_SUFFIX = "_test"
POINTS, CAPSTONE_POINTS = 10, 20  # of every exercise, and of every capstone
SOLUTION_MARK, HIDDEN_MARK = "### BEGIN SOLUTION", "### BEGIN HIDDEN TESTS"
SOLUTION_END, HIDDEN_END = "### END SOLUTION", "### END HIDDEN TESTS"
#: Limits of a grading run: CPU seconds of one cell (tests take a few), and wall-clock seconds of a notebook.
CELL_SECONDS, NOTEBOOK_SECONDS = 60.0, 600.0


class ExerciseError(ValueError):
    """An exercise or a student's notebook cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Question:
    """One answer cell and the test cell that gives its points."""

    answer_id: str
    points: float

    @property
    def test_id(self) -> str:
        return self.answer_id + TEST_SUFFIX

    @property
    def title(self) -> str:
        """The function asked for: the id without the exercise's prefix."""
        return self.answer_id.partition("_")[2]


@dataclass(frozen=True)
class Exercise:
    """An exercise of the course, by its name (``01a_percentiles``) and the course's folder."""

    name: str
    course: Path = COURSE

    @property
    def prefix(self) -> str:
        """What its grade ids start with: ``01a`` for ``01a_percentiles``, ``c1`` for a capstone."""
        return self.name.partition("_")[0]

    @property
    def points(self) -> int:
        """What its questions give in all."""
        return CAPSTONE_POINTS if self.name.startswith("c") else POINTS

    @property
    def source_path(self) -> Path:
        return self.course / "source" / self.name / f"{self.name}.ipynb"

    @property
    def release_path(self) -> Path:
        return self.course / "release" / self.name / f"{self.name}.ipynb"

    @cached_property
    def source(self) -> nbformat.NotebookNode:
        """The source notebook, with solutions and hidden tests. Treat it as read-only."""
        return notebooks.read(self.source_path)

    @cached_property
    def graded_cells(self) -> dict[str, nbformat.NotebookNode]:
        """Grade id -> cell of the source, in the notebook's order."""
        return {cell.metadata.nbgrader.grade_id: cell for cell in self.source.cells if "nbgrader" in cell.metadata}

    @cached_property
    def setup(self) -> dict[str, nbformat.NotebookNode]:
        """Text -> cell of the code cells before the first answer, which need nothing of the student's."""
        found = {}
        for cell in self.source.cells:
            if "nbgrader" in cell.metadata:
                break
            if cell.cell_type == "code":
                found[cell.source.strip()] = cell
        return found

    @property
    def questions(self) -> list[Question]:
        return [
            Question(grade_id.removesuffix(TEST_SUFFIX), float(cell.metadata.nbgrader.points))
            for grade_id, cell in self.graded_cells.items()
            if cell.metadata.nbgrader.grade
        ]


def discover(course: Path = COURSE) -> list[Exercise]:
    """Return every exercise of the course, by name. Raises ExerciseError if there is none."""
    found = sorted((course / "source").glob("[!.]*/[!.]*.ipynb"))
    if not found:
        raise ExerciseError(f"{course}: no source/NAME/NAME.ipynb in it; run from a checkout or name it with --course")
    for path in found:
        if path.stem != path.parent.name:
            raise ExerciseError(f"{path}: the notebook must be named like its folder; rename one of them")
    return [Exercise(path.stem, course) for path in found]


def called(exercises: list[Exercise], wanted: str) -> Exercise:
    """The exercise of that name or prefix (``01a``). Raises ExerciseError, with what there is."""
    for exercise in exercises:
        if wanted in (exercise.name, exercise.prefix):
            return exercise
    raise ExerciseError(f"no exercise is called {wanted}; there are {', '.join(e.prefix for e in exercises)}")


def named(exercises: list[Exercise], name: str) -> Exercise:
    """The exercise of that name; StopIteration where there is none."""
    return next(exercise for exercise in exercises if exercise.name == name)


def grade_id(cell: nbformat.NotebookNode) -> str | None:
    """Return a cell's grade id, from its comment or else from its nbgrader metadata; None for other cells."""
    match = GRADE_ID.search(cell.source)
    if match:
        return match[1]
    marks = cell.metadata.get("nbgrader")
    name = marks.get("grade_id") if isinstance(marks, dict) else None
    return name if isinstance(name, str) else None


def nbgrader_metadata(source: str) -> dict | None:
    """Return the nbgrader metadata that a source cell's grade-id comment stands for; None without a comment.

    The comment is the one place where an author writes them: an id that ends in ``_test`` is a locked test with
    points, any other an answer cell.
    """
    match = GRADE_ID.match(source)
    if not match:
        return None
    is_test = match[1].endswith(TEST_SUFFIX)
    flags = {"grade": is_test, "solution": not is_test, "locked": is_test, "task": False}
    points = float(match[2] or 0)
    points = {"points": int(points) if points.is_integer() else points} if is_test else {}
    return {"grade_id": match[1], **flags, **points, "schema_version": 3}


def badge(exercise: Exercise) -> str:
    """Return the Markdown line that opens the released notebook in Colab."""
    path = repository().removeprefix("https://github.com/")
    target = f"{path}/blob/main/exercises/release/{exercise.name}/{exercise.name}.ipynb"
    image = "https://colab.research.google.com/assets/colab-badge.svg"
    return f"[![Open in Colab]({image})](https://colab.research.google.com/github/{target})"


def faults(exercise: Exercise) -> list[str]:
    """Return one sentence for each rule of the course that the exercise's source breaks."""
    found = [fault for fault in notebooks.faults(exercise.source_path) if "nbval" not in fault]
    cells = exercise.source.cells
    ids = Counter(cell.metadata.nbgrader.grade_id for cell in cells if "nbgrader" in cell.metadata)
    found += [f"grade id {name} is used {count} times" for name, count in ids.items() if count > 1]
    for name, cell in exercise.graded_cells.items():
        found += [f"{name}: {fault}" for fault in _cell_faults(exercise, name, cell)]
    for cell in cells:
        if "nbgrader" not in cell.metadata and GRADE_ID.search(cell.source):
            found.append(f"cell {cell.id} names a grade id but has no nbgrader metadata")
    total = sum(question.points for question in exercise.questions)
    if total != exercise.points:
        found.append(f"its questions give {total:g} points in all, not {exercise.points}")
    first = cells[0] if cells else None
    if first is None or badge(exercise) not in first.source.splitlines():
        found.append(f"its first cell lacks the line {badge(exercise)}")
    if exercise.source.metadata.get("mystnb", {}).get("execution_mode") != "off":
        found.append("its metadata lack mystnb: {execution_mode: off}, so the site would run its stubs")
    return [fault if fault.startswith(exercise.name) else f"{exercise.name}: {fault}" for fault in found]


def _cell_faults(exercise: Exercise, name: str, cell: nbformat.NotebookNode) -> list[str]:
    marks, found = cell.metadata.nbgrader, []
    if cell.cell_type != "code":
        return ["is not a code cell; only those are graded here"]
    if nbgrader_metadata(cell.source) != marks:
        found.append(
            "its nbgrader metadata differ from its first line, '# grade_id: ID' or '# grade_id: ID_test (N points)'"
        )
    if not name.startswith(exercise.prefix + "_"):
        found.append(f"must start with {exercise.prefix}_")
    if marks.grade:
        if name.removesuffix(TEST_SUFFIX) not in exercise.graded_cells:
            found.append(f"there is no answer cell {name.removesuffix(TEST_SUFFIX)}")
        visible, _, hidden = cell.source.partition(HIDDEN_MARK)
        if "assert" not in visible or "assert" not in hidden:
            found.append("needs an assert for the student to see, and hidden ones")
        found += [
            f"the assert in line {node.lineno} has no message; say in words what was expected, and where to look"
            for node in ast.walk(ast.parse(cell.source))
            if isinstance(node, ast.Assert) and not _says_something(node.msg)
        ]
        if marks.points <= 0:
            found.append("its first line must end with its points, as in (3 points)")
        if isinstance(ast.parse(cell.source).body[-1], ast.Expr):
            found.append("ends with an expression, whose value nbgrader would take for partial credit")
    else:
        if SOLUTION_MARK not in cell.source:
            found.append(f"has no {SOLUTION_MARK}")
        if name + TEST_SUFFIX not in exercise.graded_cells:
            found.append("has no test cell")
    return found


def _says_something(message: ast.expr | None) -> bool:
    """Is an assert's message a text, or an f-string, with two words at least? Values alone explain nothing."""
    parts = message.values if isinstance(message, ast.JoinedStr) else [message]
    texts = [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
    return max((len(re.findall(r"[^\W\d]{2,}", text)) for text in texts), default=0) >= 2
