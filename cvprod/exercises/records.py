"""Marks on the disk: one file for each submission, written whole, and found again by what was handed in.

A mark belongs to the bytes of a submission and to the text of a question (its tests and the set-up before them). A
run that was killed therefore goes on where it was, and a changed question is marked again by itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from cvprod.exercises.course import Exercise, ExerciseError
from cvprod.exercises.grade import Mark, Report
from cvprod.files import write_atomic

SCHEMA = 1  # of the files, and of how marks are made: a higher one marks everything again


def question_digests(exercise: Exercise) -> dict[str, str]:
    """Question -> digest of what its mark depends on: the set-up, its tests, its points."""
    setup = "\0".join(exercise.setup)
    return {
        question.title: hashlib.sha256(
            f"{SCHEMA}\0{setup}\0{exercise.graded_cells[question.test_id].source}\0{question.points}".encode()
        ).hexdigest()[:16]
        for question in exercise.questions
    }


@dataclass
class Change:
    """A mark that is another one than before."""

    question: str
    before: float
    after: float
    reason: str
    course: str  # digest of the course that gave the new one


@dataclass
class Record:
    """What is known of one submission. ``questions``: question -> digest under which it was marked."""

    digest: str
    report: Report
    questions: dict[str, str] = field(default_factory=dict)
    course: str = ""
    changes: list[Change] = field(default_factory=list)

    def stale(self, exercise: Exercise) -> set[str]:
        """The questions whose marks are missing, or were made under another text."""
        wanted = question_digests(exercise)
        if self.report.exercise != exercise.name:
            return set(wanted)
        return {question for question, digest in wanted.items() if self.questions.get(question) != digest}


class Records:
    """The folder of the marks."""

    def __init__(self, folder: Path):
        self.folder = folder / "records"
        self.damaged: list[str] = []
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ExerciseError(f"{folder}: cannot be written ({error.strerror or error}); name one with -o") from None

    def path(self, digest: str) -> Path:
        return self.folder / f"{digest[:32]}.json"

    def read(self, digest: str) -> Record | None:
        """The record of a submission; None if there is none, or it is damaged (then it is named in ``damaged``)."""
        path = self.path(digest)
        try:
            values = json.loads(path.read_text())
            report = Report(**values.pop("report"))
            report.marks = [Mark(**mark) for mark in report.marks]
            changes = [Change(**change) for change in values.pop("changes")]
            return Record(report=report, changes=changes, **values)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            self.damaged.append(f"{path}: damaged ({type(error).__name__}); marked again")
            return None

    def write(self, record: Record) -> None:
        """Bring a record to the disk, whole or not at all. Raises OSError."""
        write_atomic(self.path(record.digest), (json.dumps(asdict(record), indent=1) + "\n").encode())

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the folder; ExerciseError if another run holds it. The system frees it when its holder dies."""
        with (self.folder / ".lock").open("w") as file:
            if os.name == "posix":
                import fcntl

                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    raise ExerciseError(f"{self.folder.parent}: another run is grading into it; wait for it") from None
            yield


def merged(old: Record | None, new: Report, marked: set[str], exercise: Exercise, digest: str, course: str) -> Record:
    """The record after a run that marked some questions: their new marks, the others' old ones, what has changed."""
    before = {mark.question: mark for mark in old.report.marks} if old else {}
    fresh = {mark.question: mark for mark in new.marks if mark.question in marked}
    wanted = question_digests(exercise)
    marks = {question: fresh.get(question) or before.get(question) for question in wanted}
    report = Report(
        new.path, exercise.name, [mark for mark in marks.values() if mark], new.notes, new.error, new.flags, new.seconds
    )
    changes = [
        Change(question, before[question].points, mark.points, mark.reason, course)
        for question, mark in fresh.items()
        if question in before and before[question].points != mark.points
    ]
    known = {**(old.questions if old else {}), **{q: wanted[q] for q in (fresh if not new.error else wanted)}}
    known = {question: digest for question, digest in known.items() if question in wanted}
    return Record(digest, report, known, course, [*(old.changes if old else []), *changes])
