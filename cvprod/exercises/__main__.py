"""Command line of the exercises: generate, overlay, restore, check, grade."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from cvprod.book import notebooks
from cvprod.exercises.course import CELL_SECONDS, COURSE, NOTEBOOK_SECONDS, ExerciseError, called, discover
from cvprod.files import write_atomic

if TYPE_CHECKING:
    from cvprod.exercises.overlay import Overlay


def _say(text: object, file: TextIO | None = None) -> None:
    """Print, with escapes for what the terminal cannot show: names of files and texts in them are other people's."""
    file = file or sys.stdout
    encoding = getattr(file, "encoding", None) or "utf-8"
    print(str(text).encode(encoding, "backslashreplace").decode(encoding), file=file, flush=True)


def _overlay(options: argparse.Namespace) -> Overlay | None:
    """The private folder that an option or the environment names."""
    from cvprod.exercises.overlay import VARIABLE, Overlay

    folder = options.overlay or os.environ.get(VARIABLE)
    return Overlay(Path(folder), discover(options.course)) if folder else None


def _begin_overlay(options: argparse.Namespace) -> int:
    from cvprod.exercises.overlay import Overlay, begin

    exercises = discover(options.course)
    for path in begin(options.folder, called(exercises, options.exercise)):
        _say(f"wrote {path}")
    Overlay(options.folder, exercises)
    _say(f"change the tests there, then: grade handed-in/ --overlay {options.folder}")
    return 0


def _generate(options: argparse.Namespace) -> int:
    from cvprod.exercises.generate import generate, generate_private

    if options.output:
        overlay = _overlay(options)
        if overlay is None:
            raise ExerciseError(f"-o {options.output}: a private course is made with --overlay FOLDER")
        for path in generate_private(overlay, options.output, options.course):
            _say(f"wrote {path}")
        return 0
    if options.overlay:
        raise ExerciseError("--overlay: private tests never go into release/; name another folder for them with -o")
    stale = generate(options.course, check=options.check)
    for path in stale:
        print(f"{'stale' if options.check else 'wrote'} {path}")
    if options.check and stale:
        print("run: make exercises", file=sys.stderr)
    if not stale:
        print(f"{len(discover(options.course))} exercises are up to date")
    return int(options.check and bool(stale))


def _restore(options: argparse.Namespace) -> int:
    from cvprod.exercises.generate import text
    from cvprod.exercises.restore import identify, read_submission, restore

    if options.path.is_dir():
        return _restore_class(options)
    submitted = read_submission(options.path)
    exercise = identify(submitted, discover(options.course), options.path)
    result = restore(submitted, exercise, notebooks.read(exercise.release_path))
    _say("\n".join(result.notes) or "nothing was lost")
    if result.problems:
        raise ExerciseError("\n".join(result.problems) + "\nnothing written: mend these in the notebook first")
    target = options.output or options.path.with_name(f"{options.path.stem}-restored.ipynb")
    try:
        content = text(result.notebook).encode()
    except UnicodeEncodeError as error:
        raise ExerciseError(f"{options.path}: half a character in it ({error}); type it again") from None
    write_atomic(target, content)
    _say(f"wrote {target}")
    return 0


def _restore_class(options: argparse.Namespace) -> int:
    """Write the latest notebook of every student where nbgrader looks for it: STUDENT/EXERCISE/EXERCISE.ipynb."""
    from cvprod.exercises.generate import text
    from cvprod.exercises.restore import identify, parse_submission, restore
    from cvprod.exercises.submissions import collect, file_name

    if options.output is None:
        raise ExerciseError("a folder is restored for nbgrader: name its folder, -o exercises/submitted")
    exercises, failed, written = discover(options.course), 0, set()
    for one in sorted(collect(options.path, exercises), key=lambda one: one.order):
        try:
            if one.problem:
                raise ExerciseError(f"{one.label}: {one.problem}")
            submitted = parse_submission(one.data, one.label)
            exercise = identify(submitted, exercises, one.label)
            result = restore(submitted, exercise, notebooks.read(exercise.release_path))
            if result.problems:
                raise ExerciseError(f"{one.label}: " + "; ".join(result.problems))
            content = text(result.notebook).encode()
        except ValueError as error:
            _say(f"not written: {error}", sys.stderr)
            failed += 1
            continue
        target = options.output / file_name(one.student) / exercise.name / f"{exercise.name}.ipynb"
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(target, content)
        _say(f"{one.label} -> {target}{' (a later version)' if target in written else ''}")
        written.add(target)
    _say(f"{len(written)} notebooks written, {failed} files named above are not")
    return int(failed > 0)


def _grade(options: argparse.Namespace) -> int:
    from cvprod.exercises.batch import Settings, default_output, grade_class, summary
    from cvprod.exercises.grade import Limits
    from cvprod.exercises.hand_back import write_all
    from cvprod.exercises.submissions import local_time, read_people

    for name in ("seconds", "notebook_seconds", "memory"):
        value = getattr(options, name)
        if not (value > 0 and math.isfinite(value)):
            raise ExerciseError(f"--{name.replace('_', '-')} {value:g}: name a limit above 0")
    if options.question and not options.again:
        raise ExerciseError("--question marks one question again: add --again")
    try:
        due = local_time(options.due) if options.due else None
    except ValueError:
        raise ExerciseError(f"--due {options.due}: no ISO time (2026-03-01T23:59)") from None
    settings = Settings(
        jobs=options.jobs,
        keep=options.keep,
        again=options.again,
        question=options.question,
        exercise=options.exercise,
        due=due,
        limits=Limits(options.seconds, options.notebook_seconds, int(options.memory * 2**20)),
        course=options.course,
        overlay=_overlay(options),
    )
    exercises, people = discover(options.course), read_people(options.students) if options.students else []
    output = options.output or default_output(options.path)
    outcome = grade_class(options.path, output, exercises, settings, people, say=_say)
    if len(outcome.rows) == 1 and outcome.rows[0].report:
        _say(outcome.rows[0].report)
    _say(summary(outcome))
    write_all(output, outcome, exercises, people)
    _say(f"marks, tables and pages are in {output}")
    return 130 if outcome.stopped else int(not outcome.complete)


def _check(options: argparse.Namespace) -> int:
    from cvprod.exercises.grade import check_file

    report = check_file(options.path, discover(options.course))
    _say(report)
    _say("These are the tests that you see; the hidden ones try other inputs, never other rules.")
    return int(bool(report.error) or report.points < report.maximum)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status (1: stale, not graded or not usable)."""
    parser = argparse.ArgumentParser(prog="python -m cvprod.exercises", description=__doc__, allow_abbrev=False)
    parser.add_argument("--course", type=Path, default=COURSE, help="folder with source/ and release/")
    actions = parser.add_subparsers(required=True, metavar="command")
    action = actions.add_parser("generate", help="write the students' notebooks from the sources")
    action.add_argument("--check", action="store_true", help="write nothing; exit 1 if something is stale")
    action.add_argument("--overlay", type=Path, metavar="FOLDER", help="with -o: your own hidden tests, see overlay")
    action.add_argument("-o", "--output", type=Path, help="with --overlay: a course folder of your own for nbgrader")
    action.set_defaults(run=_generate)
    action = actions.add_parser("overlay", help="begin a private folder of hidden tests and seeds of your own")
    action.add_argument("folder", type=Path, help="outside of the course, where no student can read")
    action.add_argument("exercise", help="01b, say: its hidden tests are copied there for you to change")
    action.set_defaults(run=_begin_overlay)
    action = actions.add_parser("restore", help="put lost metadata and tests back into a student's notebook")
    action.add_argument("path", type=Path)
    action.add_argument(
        "-o", "--output", type=Path, help="default: NAME-restored.ipynb beside it; of a folder: nbgrader's submitted/"
    )
    action.set_defaults(run=_restore)
    action = actions.add_parser("check", help="run a notebook against the tests that students see")
    action.add_argument("path", type=Path)
    action.set_defaults(run=_check)
    action = actions.add_parser("grade", help="grade a notebook, or all in a folder (this runs their code)")
    action.add_argument("path", type=Path, help="a notebook, an archive or a folder")
    action.add_argument("-o", "--output", type=Path, help="folder for marks and pages (default: NAME-marks beside it)")
    action.add_argument("--jobs", type=int, default=2, help="notebooks at once (default: %(default)d)")
    action.add_argument("--again", action="store_true", help="mark again what has marks, and list those that change")
    action.add_argument("--question", default="", metavar="ID", help="with --again: only this one, 01b_backfill say")
    action.add_argument("--exercise", default="", help="the exercise expected; another one handed in is named")
    action.add_argument("--keep", choices=("latest", "best"), default="latest", help="of a student's versions")
    action.add_argument("--overlay", type=Path, metavar="FOLDER", help="your own hidden tests and seeds, see overlay")
    action.add_argument("--students", type=Path, metavar="CSV", help="who handed in what (student, file, email, ...)")
    action.add_argument("--due", default="", metavar="TIME", help="2026-03-01T23:59: late days are counted")
    action.add_argument("--seconds", type=float, default=CELL_SECONDS, help="CPU seconds a cell (default: %(default)g)")
    action.add_argument(
        "--notebook-seconds",
        type=float,
        default=NOTEBOOK_SECONDS,
        help="seconds a notebook, asleep or not (default: %(default)g)",
    )
    action.add_argument("--memory", type=float, default=4096, metavar="MIB", help="a notebook's (default: %(default)g)")
    action.set_defaults(run=_grade)
    options = parser.parse_args(arguments)
    try:
        return options.run(options)
    except ModuleNotFoundError as error:
        if error.name != "nbgrader":
            raise
        print("nbgrader is not installed: pip install 'cvprod[exercises]'", file=sys.stderr)
    except (ValueError, OSError) as error:
        _say(error, sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
