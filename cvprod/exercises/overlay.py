"""Hidden tests of an instructor's own, kept in a private folder: the public ones can be read by every student.

The folder holds ``EXERCISE/QUESTION.py``, which takes the place of a question's hidden tests, or
``EXERCISE/QUESTION.more.py``, which runs after them. Such a file may use ``_seed``, a number that is another one for
each student and comes from the folder's file ``key``. Grading and a private nbgrader course use the folder; the
released notebooks never do.
"""

from __future__ import annotations

import ast
import copy
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import nbformat

from cvprod.exercises.course import HIDDEN_END, HIDDEN_MARK, Exercise, ExerciseError, called
from cvprod.files import write_atomic

VARIABLE = "CVPROD_EXERCISES_OVERLAY"  # in the environment: the folder, where no option names one
SEED, KEY, MORE = "_seed", "key", ".more"
_HIDDEN = re.compile(rf"(?<={HIDDEN_MARK}\n).*?(?={HIDDEN_END})", re.DOTALL)


@dataclass(frozen=True)
class Overlaid(Exercise):
    """A public exercise with private hidden tests: question -> (text, whether the public ones run before it)."""

    public: Exercise = field(kw_only=True)
    private: dict[str, tuple[str, bool]] = field(kw_only=True)
    seed: int = field(kw_only=True)

    @cached_property
    def source(self) -> nbformat.NotebookNode:
        notebook = copy.deepcopy(self.public.source)
        tests = {f"{self.prefix}_{question}_test": private for question, private in self.private.items()}
        for cell in notebook.cells:
            marks = cell.metadata.get("nbgrader", {})
            if marks.get("grade_id") in tests:
                text, more = tests[marks["grade_id"]]
                seed = f"{SEED} = {self.seed}\n" if uses_seed(text) else ""
                cell.source = _HIDDEN.sub(lambda old, new=seed + text, more=more: old[0] * more + new, cell.source)
        return notebook


class Overlay:
    """The private folder, read whole and checked. Raises ExerciseError that names the file and what is wrong."""

    def __init__(self, folder: Path, exercises: list[Exercise]):
        self.folder = folder
        if not folder.is_dir():
            raise ExerciseError(f"--overlay {folder}: no such folder; `python -m cvprod.exercises overlay` makes one")
        if any(folder.resolve().is_relative_to(exercise.course.resolve()) for exercise in exercises[:1]):
            raise ExerciseError(f"--overlay {folder}: lies in the course, where it would be published; move it out")
        self._private: dict[str, dict[str, tuple[str, bool]]] = {}
        self._made: dict[tuple[str, str], Exercise] = {}
        for path in sorted(folder.glob("*/*.py")):
            exercise, question, more = _place(path, exercises)
            own = self._private.setdefault(exercise.name, {})
            if question in own:
                raise ExerciseError(f"{path}: this question has two files; put both tests into one")
            own[question] = _text(path), more
        if not self._private:
            raise ExerciseError(f"--overlay {folder}: no EXERCISE/QUESTION.py in it")
        key = folder / KEY
        self._key = key.read_bytes().strip() if key.is_file() else b""
        self._seeded = {name for name, own in self._private.items() if any(uses_seed(text) for text, _ in own.values())}
        if self._seeded and len(self._key) < 16:
            raise ExerciseError(
                f"{key}: its tests use {SEED}, so this file must hold a secret of 16 characters or more "
                "(`python -m cvprod.exercises overlay` writes one)"
            )

    def apply(self, exercise: Exercise, student: str) -> Exercise:
        """The exercise as this student is graded; itself where the folder has nothing for it."""
        private = self._private.get(exercise.name)
        if not private:
            return exercise
        whose = exercise.name, student if self.by_student(exercise) else ""
        if whose not in self._made:
            seed = self.seed(exercise, student)
            self._made[whose] = Overlaid(exercise.name, exercise.course, public=exercise, private=private, seed=seed)
        return self._made[whose]

    def seed(self, exercise: Exercise, student: str) -> int:
        """The student's number for an exercise, 0 ... 2^31 - 1: the same at every run, and unknown without the key."""
        digest = hmac.new(self._key, f"{exercise.name}\0{student}".encode("utf-8", "replace"), hashlib.sha256).digest()
        return int.from_bytes(digest[:4], "big") >> 1

    def by_student(self, exercise: Exercise) -> bool:
        """Whether two students may get different marks for the same bytes."""
        return exercise.name in self._seeded


def uses_seed(text: str) -> bool:
    """Whether a test reads the student's number."""
    return any(isinstance(node, ast.Name) and node.id == SEED for node in ast.walk(ast.parse(text)))


def begin(folder: Path, exercise: Exercise) -> list[Path]:
    """Write an exercise's hidden tests into the folder, to be changed there, and a key; returns what was written.

    What is there stays as it is.
    """
    written = []
    files = {folder / KEY: secrets.token_hex(32) + "\n"}
    for question in exercise.questions:
        hidden = _HIDDEN.search(exercise.graded_cells[question.test_id].source)
        files[folder / exercise.name / f"{question.title}.py"] = hidden[0].strip("\n") + "\n"
    for path, content in files.items():
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, content.encode(), mode=0o600)
            written.append(path)
    return written


def _place(path: Path, exercises: list[Exercise]) -> tuple[Exercise, str, bool]:
    """The exercise and question that a file is for, and whether it only adds."""
    stem, more = path.stem.removesuffix(MORE), path.stem.endswith(MORE)
    try:
        exercise = called(exercises, path.parent.name)
    except ExerciseError as error:
        raise ExerciseError(f"{path}: {error}") from error
    titles = [question.title for question in exercise.questions]
    if stem not in titles:
        raise ExerciseError(f"{path}: {exercise.name} has no question {stem} (it has {', '.join(titles)})")
    return exercise, stem, more


def _text(path: Path) -> str:
    """A file's tests, which must be Python that nbgrader, too, scores as all or nothing."""
    try:
        text = path.read_text(encoding="utf-8")
        body = ast.parse(text).body
    except (OSError, ValueError, SyntaxError) as error:
        raise ExerciseError(f"{path}: no readable Python ({error})") from None
    if not any(isinstance(node, ast.Assert) for node in ast.walk(ast.Module(body, []))):
        raise ExerciseError(f"{path}: holds no assert, so it would give everybody the points")
    if isinstance(body[-1], ast.Expr):
        raise ExerciseError(f"{path}: ends with an expression, whose value nbgrader would take for partial credit")
    if "### BEGIN" in text or "### END" in text:
        raise ExerciseError(f"{path}: leave out the ### BEGIN and ### END marks; the file is the hidden part itself")
    return text.rstrip("\n") + "\n"
