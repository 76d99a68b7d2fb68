"""Grade students' notebooks: nbgrader's scoring over a runner that survives what students write."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import nbformat
from nbgrader.utils import determine_grade

from cvprod.exercises.course import CELL_SECONDS, NOTEBOOK_SECONDS, Exercise, ExerciseError
from cvprod.exercises.restore import identify, read_submission, restore
from cvprod.exercises.runner import Runner


@dataclass(frozen=True)
class Mark:
    """Points of one question, and the reason for a loss ("" for full points)."""

    question: str
    points: float
    maximum: float
    reason: str = ""


@dataclass
class Report:
    """The outcome for one notebook. ``error`` is set, and the marks empty, where it could not be graded."""

    path: str
    exercise: str = ""
    marks: list[Mark] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    error: str = ""

    @property
    def points(self) -> float:
        return sum(mark.points for mark in self.marks)

    @property
    def maximum(self) -> float:
        return sum(mark.maximum for mark in self.marks)

    def as_dict(self) -> dict:
        """Return the report as plain JSON values."""
        return {**asdict(self), "points": self.points, "maximum": self.maximum}

    def __str__(self) -> str:
        if self.error:
            return f"{self.error}\n    not graded"
        lines = [f"{self.path}: {self.exercise}, {self.points:g} of {self.maximum:g} points"]
        lines += [
            f"    {mark.question:<28}{mark.points:>4g} / {mark.maximum:<4g}{mark.reason}".rstrip()
            for mark in self.marks
        ]
        return "\n".join(lines + [f"    note: {note}" for note in self.notes])


def grade_file(
    path: Path,
    exercises: list[Exercise],
    *,
    cell_seconds: float = CELL_SECONDS,
    notebook_seconds: float = NOTEBOOK_SECONDS,
) -> Report:
    """Grade one notebook file, which is only read. A notebook that cannot be graded gives a report with an error."""
    try:
        return _grade_file(path, exercises, cell_seconds, notebook_seconds)
    except ExerciseError as error:
        return Report(str(path), error=str(error))
    except Exception as error:  # one notebook must not end the grading of the others
        return Report(str(path), error=f"{path}: could not be graded ({type(error).__name__}: {error})")


def _grade_file(path: Path, exercises: list[Exercise], cell_seconds: float, notebook_seconds: float) -> Report:
    submitted = read_submission(path)
    exercise = identify(submitted, exercises, path)
    restored = restore(submitted, exercise, exercise.source)
    # The book's own set-up failing is no student's fault, and zero points would say it was: try again, then say so.
    for _ in range(2):
        with Runner(cell_seconds, notebook_seconds) as runner:
            marks = mark(restored.notebook, exercise, runner.run)
        failed = _failed(restored.notebook)
        broken = [error for source, error in failed.items() if source in exercise.setup]
        if not broken:
            break
    else:
        return Report(str(path), exercise.name, error=f"{path}: the exercise's own set-up cell failed: {broken[0]}")
    notes = [f"a cell failed ({source.splitlines()[0][:40]}): {error}" for source, error in failed.items()]
    return Report(str(path), exercise.name, marks, _worth_telling(restored.notes) + restored.problems + notes)


def _failed(notebook: nbformat.NotebookNode) -> dict[str, str]:
    """Source -> error of the cells that failed, graded ones left out: their failures are in the marks."""
    ordinary = [cell for cell in notebook.cells if cell.cell_type == "code" and "nbgrader" not in cell.metadata]
    return {cell.source.strip(): _error(cell) for cell in ordinary if _error(cell)}


def mark(notebook: nbformat.NotebookNode, exercise: Exercise, run: Callable[..., None]) -> list[Mark]:
    """Run a restored notebook's code cells with ``run(cell, test=...)`` and score its test cells.

    ``run`` fills ``cell.outputs`` and never raises; the notebook's outputs are overwritten. A restored notebook has
    every test; of one cut down to some questions, those are scored.
    """
    tests, answers = {}, {}
    for cell in notebook.cells:
        if cell.cell_type != "code" or not cell.source.strip():
            continue
        marks = cell.metadata.get("nbgrader", {})
        is_test = bool(marks.get("grade"))
        run(cell, test=is_test)
        if marks:
            (tests if is_test else answers)[marks["grade_id"]] = cell
    return [
        _mark(question, answers.get(question.answer_id), tests[question.test_id])
        for question in exercise.questions
        if question.test_id in tests
    ]


def _mark(question, answer: nbformat.NotebookNode | None, test: nbformat.NotebookNode) -> Mark:
    scored = copy.deepcopy(test)
    # nbgrader takes any text on stderr for a failure; a library's warning is none.
    scored.outputs = [output for output in scored.outputs if output.get("name") != "stderr"]
    points, maximum = determine_grade(scored)
    if points == maximum:
        return Mark(question.title, points, maximum)
    reason = _error(test)
    if answer is not None and _error(answer):
        reason = f"answer cell: {_error(answer)}"
    elif reason.startswith("NotImplementedError"):
        reason = "not answered"
    return Mark(question.title, points, maximum, reason or "partly right")


def _error(cell: nbformat.NotebookNode) -> str:
    for output in cell.outputs:
        if output.output_type == "error":
            message = output.evalue.strip().split("\n")[0][:200]
            name = "" if output.ename == "Stopped" else f"{output.ename}: "
            return re.sub(r"\x1b\[[0-9;]*m", "", (name + message).removesuffix(": "))
    return ""


def _worth_telling(notes: list[str]) -> list[str]:
    """Of the repairs, those a grader wants to see: the hidden tests replace every test cell, which is no news."""
    return [note for note in notes if not note.endswith(("metadata restored", "replaced by the original"))]


def submissions(path: Path) -> list[Path]:
    """Return the notebook itself, or every notebook below a folder. Raises ExerciseError if there is none."""
    if path.is_file():
        return [path]
    found = sorted(p for p in path.rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts) if path.is_dir() else []
    if not found:
        raise ExerciseError(f"{path}: no notebook there; name an .ipynb file or a folder that holds some")
    return found
