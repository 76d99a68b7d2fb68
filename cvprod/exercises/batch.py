"""Grade everything that a class handed in: several at a time, interrupted and resumed, with nothing lost or redone."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import nbformat

from cvprod.exercises import likeness
from cvprod.exercises.course import (
    COURSE,
    SOLUTION_END,
    SOLUTION_MARK,
    Exercise,
    ExerciseError,
    called,
    grade_id,
    named,
)
from cvprod.exercises.grade import Limits, Report, grade_bytes
from cvprod.exercises.guard import Guard
from cvprod.exercises.likeness import Pair
from cvprod.exercises.overlay import Overlay
from cvprod.exercises.records import Change, Record, Records, merged
from cvprod.exercises.restore import identify, parse_submission
from cvprod.exercises.runner import Interrupted, sweep
from cvprod.exercises.sandbox import refused
from cvprod.exercises.submissions import Person, Submission, collect

_SOLUTION = re.compile(rf"[ ]*{SOLUTION_MARK}.*?{SOLUTION_END}", re.DOTALL)
GRADED, NOT_GRADED, OLDER, OTHER, WAITING = "graded", "not graded", "older version", "other exercise", "waiting"


@dataclass
class Row:
    """One file that was handed in, and what became of it: ``status`` is one of the five above, ``why`` its reason."""

    submission: Submission
    status: str
    why: str = ""
    record: Record | None = None
    exercise: str = ""
    late_days: int = 0
    counts: bool = False  # is this the version whose marks stand
    key: str = ""  # of its record: the file's digest, and with tests of the student's own also the student's

    @property
    def report(self) -> Report | None:
        return self.record.report if self.record else None


@dataclass
class Outcome:
    """Every file with its row, and what a run did."""

    rows: list[Row]
    marked: int = 0  # notebooks that were run
    resumed: int = 0  # those whose marks were there
    changes: list[tuple[Row, Change]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    pairs: dict[str, list[Pair]] = field(default_factory=dict)  # by exercise: whose answers are alike
    stopped: bool = False

    @property
    def complete(self) -> bool:
        return not self.stopped and all(row.status in (GRADED, OLDER) for row in self.rows)


@dataclass(frozen=True)
class Settings:
    """How a class is graded."""

    jobs: int = 2
    keep: str = "latest"  # of several versions: "latest" or "best"
    again: bool = False  # mark what is marked already
    question: str = ""  # with `again`: only this one
    exercise: str = ""  # the one expected; others are named and not counted
    due: datetime | None = None
    limits: Limits = field(default_factory=Limits)
    course: Path = COURSE
    overlay: Overlay | None = None  # private hidden tests


def grade_class(
    path: Path,
    output: Path,
    exercises: list[Exercise],
    settings: Settings,
    people: list[Person] | None = None,
    *,
    say: Callable[[str], None] = print,
    grade: Callable[..., Report] = grade_bytes,
) -> Outcome:
    """Grade all that lies at `path`, keeping the marks in `output`; Ctrl-C ends it, and the next call goes on.

    ``grade`` marks one file's content, as ``grade_bytes`` does. Raises ExerciseError for settings that cannot be.
    """
    if path.is_dir() and output.resolve().is_relative_to(path.resolve()):
        raise ExerciseError(f"-o {output}: must not lie in the folder that is graded")
    _check(settings, exercises)
    store = Records(output)
    with store.alone():
        guard = Guard(settings.course)
        if swept := sweep():
            say(f"cleared up behind an interrupted run (kernels: {swept})")
        if why := refused():
            say(f"no isolation on this system: {why}. Submissions have the network and your rights;")
            say("changes of the course are found and put back. Use a container or a throw-away account.")
        rows = [_row(one, exercises, settings) for one in collect(path, exercises, people)]
        outcome = Outcome(rows)
        _choose(rows, settings)
        work = {}
        for row in rows:
            if row.status == WAITING:
                row.record = store.read(row.key)
                stale = _to_mark(row, exercises, settings)
                if stale:
                    work.setdefault(row.key, (row, stale))
                else:
                    outcome.resumed += 1
        private = {settings.overlay.folder.resolve()} if settings.overlay else set()
        hidden = {path.resolve(), output.resolve()} | private
        run = _Run(store, guard, settings, exercises, hidden, grade, say)
        run.all(list(work.values()), outcome)
        for row in rows:
            _settle(row, store, run.failed)
        _best(rows, settings)
        outcome.notes += store.damaged
        if not refused() and (edited := guard.changed()):  # no notebook can have done that
            names = ", ".join(str(path) for path in edited)
            outcome.notes.append(f"the course was edited meanwhile ({names}); the next run marks those questions again")
        same, outcome.pairs = alike([row for row in rows if row.counts], exercises)
        outcome.notes += same
        outcome.changes = [(row, change) for row, change in _changes(rows, run.changed) if row.counts]
    return outcome


def _check(settings: Settings, exercises: list[Exercise]) -> None:
    known = {question.title for exercise in exercises for question in exercise.questions}
    known |= {question.answer_id for exercise in exercises for question in exercise.questions}
    if settings.question and settings.question not in known:
        raise ExerciseError(f"--question {settings.question}: no such question (01b_backfill, say)")
    if settings.exercise:
        called(exercises, settings.exercise)
    if settings.jobs < 1:
        raise ExerciseError(f"--jobs {settings.jobs}: name at least 1")


def _row(one: Submission, exercises: list[Exercise], settings: Settings) -> Row:
    late = 0
    if settings.due and one.handed_in and one.handed_in > settings.due:
        late = -int((settings.due - one.handed_in).total_seconds() // 86400)
    if one.problem:
        return Row(one, NOT_GRADED, one.problem, late_days=late)
    try:
        exercise = identify(parse_submission(one.data, one.label), exercises, one.label)
    except ExerciseError as error:
        return Row(one, NOT_GRADED, str(error).removeprefix(f"{one.label}: "), late_days=late)
    key = one.digest
    if settings.overlay and settings.overlay.by_student(exercise):
        key = hashlib.sha256(f"{key}\0{one.student}".encode("utf-8", "replace")).hexdigest()
    return Row(one, WAITING, exercise=exercise.name, late_days=late, key=key)


def _choose(rows: list[Row], settings: Settings) -> None:
    """Set aside what is not to be run: older versions unless the best counts, and exercises nobody asked for."""
    versions = defaultdict(list)
    for row in rows:
        if row.status != WAITING:
            continue
        if settings.exercise and settings.exercise not in (row.exercise, row.exercise.partition("_")[0]):
            row.status, row.why = OTHER, f"handed in {row.exercise}, expected {settings.exercise}"
            continue
        versions[row.submission.student, row.exercise].append(row)
    for group in versions.values():
        *older, newest = sorted(group, key=lambda row: row.submission.order)
        newest.counts = True
        for row in older:
            if settings.keep == "latest":
                row.status, row.why = OLDER, f"{newest.submission.label} came later"


def _exercise(row: Row, exercises: list[Exercise], settings: Settings) -> Exercise:
    """The exercise as the row's student is graded."""
    exercise = named(exercises, row.exercise)
    return settings.overlay.apply(exercise, row.submission.student) if settings.overlay else exercise


def _to_mark(row: Row, exercises: list[Exercise], settings: Settings) -> set[str]:
    exercise = _exercise(row, exercises, settings)
    every = {question.title for question in exercise.questions}
    stale = row.record.stale(exercise) if row.record else every
    if settings.again:
        asked = {q.title for q in exercise.questions if settings.question in ("", q.title, q.answer_id)}
        stale = stale | asked
    return every if stale and row.record and row.record.report.error else stale


class _Run:
    """The part that takes time: a few notebooks at once, each record on the disk before the next begins."""

    def __init__(self, store, guard, settings, exercises, hidden: Collection[Path], grade, say):
        self.store, self.guard, self.settings, self.exercises = store, guard, settings, exercises
        self.hidden, self.grade, self.say = hidden, grade, say
        self.stop, self.course = threading.Event(), guard.digest()
        self.changed: dict[str, list[Change]] = {}
        self.failed: dict[str, str] = {}
        self._seconds: list[float] = []

    def all(self, work: list[tuple[Row, set[str]]], outcome: Outcome) -> None:
        if outcome.resumed:
            self.say(f"{outcome.resumed} marked already, {len(work)} to do")
        began, pending = time.monotonic(), set()
        queue = list(reversed(work))
        pool = ThreadPoolExecutor(self.settings.jobs, thread_name_prefix="grade")
        running: dict[Future, Row] = {}
        try:
            while queue or pending:
                while queue and len(pending) < self.settings.jobs:
                    row, stale = queue.pop()
                    future = pool.submit(self._one, row, stale)
                    running[future] = row
                    pending.add(future)
                done, pending = wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
                for future in done:
                    record = future.result()
                    outcome.marked += 1
                    left = (time.monotonic() - began) / outcome.marked * (len(work) - outcome.marked)
                    line = self._line(running[future], record)
                    self.say(f"{outcome.marked} of {len(work)}, {_time(left)} left: {line}")
        except KeyboardInterrupt:
            self.stop.set()
            outcome.stopped = True
            self.say(f"stopped: {outcome.marked} of {len(work)} marked and kept; the same command goes on from here")
        finally:
            self.stop.set()
            pool.shutdown(wait=True, cancel_futures=True)

    def _one(self, row: Row, stale: set[str]) -> Record | None:
        """Mark one notebook and keep the record; None where there is none, see `failed`."""
        one, exercise = row.submission, _exercise(row, self.exercises, self.settings)
        try:
            report = self.grade(
                one.data,
                one.label,
                [exercise if other.name == exercise.name else other for other in self.exercises],
                limits=self.settings.limits,
                course=self.settings.course,
                hidden=self.hidden,
                only=stale,
                stop=self.stop,
            )
        except Interrupted:
            return None
        if refused():  # otherwise nobody but its author can have changed the course
            spoiled = self.guard.mend(self.store.folder.parent / "put-aside")
            beside = "" if self.settings.jobs == 1 else " (this one, or one that ran beside it)"
            report.flags += [what + beside for what in spoiled]
        if report.error and not report.exercise:  # the grader's own trouble is no result: the next run tries again
            self.failed[row.key] = report.error.removeprefix(f"{one.label}: ")
            return None
        old = self.store.read(row.key) if row.record else None
        record = merged(old, report, stale, exercise, row.key, self.course)
        self.changed[row.key] = record.changes[len(old.changes) if old else 0 :]
        self.store.write(record)
        return record

    def _line(self, row: Row, record: Record | None) -> str:
        if record is None:
            why = self.failed.get(row.key)
            return f"{row.submission.label}: not graded ({why})" if why else row.submission.label
        report = record.report
        return f"{row.submission.label}: {report.error or f'{report.points:g} of {report.maximum:g}'}"


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _settle(row: Row, store: Records, failed: dict[str, str]) -> None:
    """Give a row that was to be graded its record, or the reason why it has none."""
    if row.status != WAITING:
        return
    row.record = store.read(row.key)
    if row.key in failed:
        row.status, row.why = NOT_GRADED, failed[row.key]
    elif row.record and row.record.report.exercise == row.exercise:
        error = row.record.report.error
        row.status, row.why = (NOT_GRADED, error.partition(": ")[2] or error) if error else (GRADED, "")
    else:
        row.why = "the run was stopped before it; run the same command again"


def _best(rows: list[Row], settings: Settings) -> None:
    """Let the best version of each student count, where that was asked for; of equal ones the latest."""
    if settings.keep != "best":
        return
    versions = defaultdict(list)
    for row in rows:
        if row.status in (GRADED, NOT_GRADED, WAITING) and row.exercise:
            versions[row.submission.student, row.exercise].append(row)
    for group in versions.values():
        best = max(group, key=lambda row: (row.report.points if row.status == GRADED else -1, row.submission.order))
        for row in group:
            row.counts = row is best
            if row is not best and row.status == GRADED:
                row.status, row.why = OLDER, f"{best.submission.label} has as many points or more"


def _changes(rows: list[Row], changed: dict[str, list[Change]]) -> list[tuple[Row, Change]]:
    return [(row, change) for row in rows for change in changed.get(row.key, [])]


def alike(rows: list[Row], exercises: list[Exercise]) -> tuple[list[str], dict[str, list[Pair]]]:
    """Whose answers are alike: one note for each group with the same ones, and by exercise the pairs that share much.

    Names, comments and spaces do not count, and a notebook with an unanswered question is in no group.
    """
    same, wrote = defaultdict(list), defaultdict(dict)
    for row in rows:
        exercise = named(exercises, row.exercise)
        answers = _answers(parse_submission(row.submission.data, row.submission.label), exercise)
        wrote[row.exercise][row.submission.student] = likeness.fragments(*answers.values())
        if len(answers) == len(exercise.questions) and "NotImplementedError" not in "".join(answers.values()):
            key = tuple(sorted((name, likeness.normalised(source)) for name, source in answers.items()))
            same[row.exercise, key].append(row.submission.student)
    notes = [f"{name}: the same answers from {', '.join(who)}" for (name, _), who in same.items() if len(set(who)) > 1]
    pairs = {}
    for name, own in wrote.items():
        exercise = named(exercises, name)
        published = _answers(exercise.source, exercise).values()
        given = likeness.fragments(*(_SOLUTION.sub("", text) for text in published))
        if found := likeness.pairs(own, given, likeness.fragments(*published)):
            pairs[name] = found
    return notes, pairs


def _answers(notebook: nbformat.NotebookNode, exercise: Exercise) -> dict[str, str]:
    """Grade id -> text of the answer cells."""
    ids = {question.answer_id for question in exercise.questions}
    return {name: cell.source for cell in notebook.cells if (name := grade_id(cell)) in ids}


def summary(outcome: Outcome) -> str:
    """What a run did, in a few lines, with every file that has no mark named."""
    count = Counter(row.status for row in outcome.rows)
    lines = [f"{len(outcome.rows)} files: " + ", ".join(f"{number} {status}" for status, number in count.items())]
    lines += [
        f"    {row.submission.label}: {row.status}: {row.why}" for row in outcome.rows if row.status not in (GRADED,)
    ]
    lines += [
        f"    look at {row.submission.label}: {flag}"
        for row in outcome.rows
        if row.report and row.status == GRADED
        for flag in row.report.flags
    ]
    lines += [
        f"    changed mark of {row.submission.student}: {change.question} {change.before:g} -> {change.after:g} "
        f"{change.reason}".rstrip()
        for row, change in outcome.changes
    ]
    return "\n".join(lines + [f"    note: {note}" for note in outcome.notes])


def default_output(path: Path) -> Path:
    """Where the marks of a folder lie: beside it."""
    path = path.resolve()
    return path.with_name(f"{path.stem if path.is_file() else path.name}-marks")
