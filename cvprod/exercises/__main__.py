"""Command line of the exercises: generate, check, restore, grade."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from cvprod.book import notebooks
from cvprod.exercises.course import CELL_SECONDS, COURSE, ExerciseError, discover
from cvprod.files import write_atomic


def _say(text: object, file: TextIO | None = None) -> None:
    """Print, with escapes for what the terminal cannot show: names of files and texts in them are other people's."""
    file = file or sys.stdout
    encoding = getattr(file, "encoding", None) or "utf-8"
    print(str(text).encode(encoding, "backslashreplace").decode(encoding), file=file, flush=True)


def _generate(options: argparse.Namespace) -> int:
    from cvprod.exercises.generate import generate

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


def _grade(options: argparse.Namespace) -> int:
    from cvprod.exercises.grade import grade_file, submissions

    if not (options.seconds > 0 and math.isfinite(options.seconds)):
        raise ExerciseError(f"--seconds {options.seconds:g}: name a limit above 0")
    exercises, reports = discover(options.course), []
    paths = submissions(options.path)
    _save(options.json, reports)  # before an hour's work: it may not be writable
    unsaved = False
    for path in paths:
        report = grade_file(path, exercises, cell_seconds=options.seconds)
        _say(report)
        reports.append(report)
        try:
            _save(options.json, reports)
            unsaved = False
        except OSError as error:  # a full disk, or a cell that removed the folder: the others are graded all the same
            _say(error, sys.stderr)
            unsaved = True
    return int(unsaved or any(report.error for report in reports))


def _save(path: Path | None, reports: list) -> None:
    """Write the reports, whole or not at all, so that an interrupted run leaves those that it made."""
    if path is None:
        return
    path = path.resolve()  # the file behind a link
    if path.exists() and not path.is_file():
        raise ExerciseError(f"--json {path}: not a file")
    try:
        write_atomic(path, (json.dumps([report.as_dict() for report in reports], indent=2) + "\n").encode())
    except OSError as error:
        raise OSError(f"--json {path}: cannot be written ({error.strerror or error})") from None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status (1: stale, not graded or not usable)."""
    parser = argparse.ArgumentParser(prog="python -m cvprod.exercises", description=__doc__)
    parser.add_argument("--course", type=Path, default=COURSE, help="folder with source/ and release/")
    actions = parser.add_subparsers(required=True, metavar="command")
    action = actions.add_parser("generate", help="write the students' notebooks from the sources")
    action.add_argument("--check", action="store_true", help="write nothing; exit 1 if something is stale")
    action.set_defaults(run=_generate)
    action = actions.add_parser("restore", help="put lost metadata and tests back into a student's notebook")
    action.add_argument("path", type=Path)
    action.add_argument("-o", "--output", type=Path, help="default: NAME-restored.ipynb beside it")
    action.set_defaults(run=_restore)
    action = actions.add_parser("grade", help="grade a notebook, or all in a folder (this runs their code)")
    action.add_argument("path", type=Path)
    action.add_argument(
        "--seconds", type=float, default=CELL_SECONDS, help="CPU seconds of one cell (default: %(default)g)"
    )
    action.add_argument("--json", type=Path, help="write the reports to this file too")
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
