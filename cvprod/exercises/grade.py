"""Grade one notebook: nbgrader's scoring over a runner that survives what students write."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

from cvprod.book import notebooks
from cvprod.exercises.course import (
    CELL_SECONDS,
    COURSE,
    HIDDEN_END,
    HIDDEN_MARK,
    NOTEBOOK_SECONDS,
    TEST_SUFFIX,
    Exercise,
    ExerciseError,
    grade_id,
)
from cvprod.exercises.guard import suspicious
from cvprod.exercises.restore import identify, parse_submission, read_submission, restore
from cvprod.exercises.runner import Runner
from cvprod.exercises.sandbox import MEMORY_BYTES

_LINE = re.compile(r"line (\d+)")


@dataclass(frozen=True)
class Limits:
    """What one notebook may use: CPU seconds of a cell (sleep counts a fifth), seconds by the clock, bytes."""

    cell_seconds: float = CELL_SECONDS
    notebook_seconds: float = NOTEBOOK_SECONDS
    memory_bytes: int = MEMORY_BYTES


@dataclass(frozen=True)
class Mark:
    """Points of one question, and the reason for a loss ("" for full points).

    ``where`` it went wrong: "answer" (its own cell), "visible" or "hidden" (that part of the test), "" if unknown.
    """

    question: str
    points: float
    maximum: float
    reason: str = ""
    where: str = ""


@dataclass
class Report:
    """The outcome for one notebook. ``error`` is set, and the marks empty, where it could not be graded.

    ``flags`` are for a human's eyes: it read or changed the course, it was made from the source, tests were edited.
    """

    path: str
    exercise: str = ""
    marks: list[Mark] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    error: str = ""
    flags: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def points(self) -> float:
        return sum(mark.points for mark in self.marks)

    @property
    def maximum(self) -> float:
        return sum(mark.maximum for mark in self.marks)

    def __str__(self) -> str:
        if self.error:
            return f"{self.error}\n    not graded"
        lines = [f"{self.path}: {self.exercise}, {self.points:g} of {self.maximum:g} points"]
        lines += [
            f"    {mark.question:<28}{mark.points:>4g} / {mark.maximum:<4g}{mark.reason}".rstrip()
            for mark in self.marks
        ]
        lines += [f"    look at it: {flag}" for flag in self.flags]
        return "\n".join(lines + [f"    note: {note}" for note in self.notes])


def grade_file(path: Path, exercises: list[Exercise], **options) -> Report:
    """Grade one notebook file, which is only read; ``options`` are those of ``grade_notebook``.

    A notebook that cannot be graded gives a report with an error.
    """
    try:
        submitted = read_submission(path)
    except ExerciseError as error:
        return Report(str(path), error=str(error))
    return grade_notebook(submitted, str(path), exercises, **options)


def grade_bytes(data: bytes, label: str, exercises: list[Exercise], **options) -> Report:
    """The same for a file's content; ``label`` names it in messages."""
    try:
        submitted = parse_submission(data, label)
    except ExerciseError as error:
        return Report(label, error=str(error))
    return grade_notebook(submitted, label, exercises, **options)


def grade_notebook(
    submitted: nbformat.NotebookNode,
    label: str,
    exercises: list[Exercise],
    *,
    limits: Limits | None = None,
    course: Path = COURSE,
    hidden: Collection[Path] = (),
    only: Collection[str] | None = None,
    stop: threading.Event | None = None,
) -> Report:
    """Grade a notebook in a kernel of its own: all questions, or ``only`` those of these titles.

    Folders in ``hidden`` look empty to its code. ``stop``, set by another thread, ends it with runner.Interrupted.
    """
    began, limits = time.monotonic(), limits or Limits()
    try:
        exercise = identify(submitted, exercises, label)
        restored = restore(submitted, exercise, exercise.source)
        edited = edited_tests(submitted, exercise)
        # The book's own set-up failing is no student's fault, and zero points would say it was: again, then say so.
        for _ in range(2):
            options = {"memory_bytes": limits.memory_bytes, "course": course, "hidden": tuple(hidden), "stop": stop}
            with Runner(limits.cell_seconds, limits.notebook_seconds, **options) as runner:
                marks = mark(restored.notebook, exercise, runner.run, only)
            failed = _failed(restored.notebook)
            broken = [error for source, error in failed.items() if source in exercise.setup]
            if not broken:
                break
        flags = suspicious(submitted, runner.touched) + edited
        seconds = round(time.monotonic() - began, 1)
        if broken:
            why = f"{label}: the exercise's own set-up cell failed: {broken[0]} (once mended, add --again)"
            return Report(label, exercise.name, error=why, flags=flags, seconds=seconds)
    except ExerciseError as error:
        return Report(label, error=str(error))
    except Exception as error:  # one notebook must not end the grading of the others
        return Report(label, error=f"{label}: could not be graded ({type(error).__name__}: {error})")
    notes = [f"a cell failed ({source.splitlines()[0][:40]}): {error}" for source, error in failed.items()]
    notes = _worth_telling(restored.notes) + restored.problems + notes
    return Report(label, exercise.name, marks, notes, flags=flags, seconds=seconds)


def check_file(path: Path, exercises: list[Exercise]) -> Report:
    """Run a student's notebook against the tests that students see; nothing of the source is needed."""
    submitted = read_submission(path)
    exercise = identify(submitted, exercises, path)
    if not exercise.release_path.is_file():
        raise ExerciseError(f"{exercise.release_path}: not there; `python -m cvprod.exercises generate` writes it")
    restored = restore(submitted, exercise, notebooks.read(exercise.release_path))
    with Runner(course=exercise.course) as runner:
        marks = mark(restored.notebook, exercise, runner.run)
    return Report(str(path), exercise.name, marks, _worth_telling(restored.notes) + restored.problems)


def edited_tests(submitted: nbformat.NotebookNode, exercise: Exercise) -> list[str]:
    """Which visible tests are other ones than those given out; they are replaced, but the student saw these."""
    given = {}
    for name, cell in exercise.graded_cells.items():
        if name.endswith(TEST_SUFFIX):
            given[name] = re.sub(rf"\n{HIDDEN_MARK}.*?{HIDDEN_END}", "", cell.source, flags=re.DOTALL).strip()
    return [
        f"{name}: the visible test was edited (the original was run)"
        for cell in submitted.cells
        if (name := grade_id(cell)) in given
        if cell.source.strip() not in (given[name], exercise.graded_cells[name].source.strip())
    ]


def _failed(notebook: nbformat.NotebookNode) -> dict[str, str]:
    """Source -> error of the cells that failed, graded ones left out: their failures are in the marks."""
    ordinary = [cell for cell in notebook.cells if cell.cell_type == "code" and "nbgrader" not in cell.metadata]
    return {cell.source.strip(): _error(cell) for cell in ordinary if _error(cell)}


def mark(
    notebook: nbformat.NotebookNode,
    exercise: Exercise,
    run: Callable[..., None],
    only: Collection[str] | None = None,
) -> list[Mark]:
    """Run a restored notebook's code cells with ``run(cell, test=...)`` and score its test cells.

    ``run`` fills ``cell.outputs`` and never raises; the notebook's outputs are overwritten. A restored notebook has
    every test; of one cut down to some questions, those are scored. With ``only`` the tests of other questions are
    neither run nor scored.
    """
    left_out = {question.test_id for question in exercise.questions if only is not None and question.title not in only}
    tests, answers = {}, {}
    for cell in notebook.cells:
        if cell.cell_type != "code" or not cell.source.strip():
            continue
        marks = cell.metadata.get("nbgrader", {})
        is_test = bool(marks.get("grade"))
        if is_test and marks["grade_id"] in left_out:
            continue
        run(cell, test=is_test)
        if marks:
            (tests if is_test else answers)[marks["grade_id"]] = cell
    return [
        _mark(question, answers.get(question.answer_id), tests[question.test_id])
        for question in exercise.questions
        if question.test_id in tests
    ]


def _mark(question, answer: nbformat.NotebookNode | None, test: nbformat.NotebookNode) -> Mark:
    # All or nothing, as nbgrader scores a test cell that shows no number; a warning on stderr is no failure.
    maximum = float(test.metadata.nbgrader.points)
    points = 0.0 if any(output.output_type == "error" for output in test.outputs) else maximum
    if points == maximum:
        return Mark(question.title, points, maximum)
    reason, where = _error(test), _where(test)
    failed = _error(answer) if answer is not None else ""
    if (failed or reason).startswith("NotImplementedError"):
        reason, where = "not answered", "answer"
    elif failed:
        reason, where = f"answer cell: {failed}", "answer"
    return Mark(question.title, points, maximum, reason or "failed", where)


def _where(test: nbformat.NotebookNode) -> str:
    """The part of the test cell that failed, by the line in its traceback; "" if that tells nothing."""
    hidden = test.source.partition(HIDDEN_MARK)[0].count("\n") + 1 if HIDDEN_MARK in test.source else 10**9
    for output in test.outputs:
        if output.output_type == "error":
            frames = [re.sub(r"\x1b\[[0-9;]*m", "", frame) for frame in output.get("traceback", [])]
            lines = [int(match[1]) for frame in frames[1:] if "Cell In[" in frame and (match := _LINE.search(frame))]
            if lines:
                return "hidden" if lines[0] >= hidden else "visible"
    return ""


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
