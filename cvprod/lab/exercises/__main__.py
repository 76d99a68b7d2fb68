"""Command line of the exercises: generate, check, restore, grade."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from cvprod.lab import notebooks
from cvprod.lab.exercises.course import CELL_SECONDS, COURSE, ExerciseError, discover


def _generate(options: argparse.Namespace) -> int:
    from cvprod.lab.exercises.generate import generate

    stale = generate(options.course, check=options.check)
    for path in stale:
        print(f"{'stale' if options.check else 'wrote'} {path}")
    if options.check and stale:
        print("run: make exercises", file=sys.stderr)
    if not stale:
        print(f"{len(discover(options.course))} exercises are up to date")
    return int(options.check and bool(stale))


def _restore(options: argparse.Namespace) -> int:
    from cvprod.lab.exercises.generate import text
    from cvprod.lab.exercises.restore import identify, read_submission, restore

    submitted = read_submission(options.path)
    exercise = identify(submitted, discover(options.course), options.path)
    result = restore(submitted, exercise, notebooks.read(exercise.release_path))
    print("\n".join(result.notes) or "nothing was lost")
    if result.problems:
        raise ExerciseError("\n".join(result.problems) + "\nnothing written: mend these in the notebook first")
    target = options.output or options.path.with_name(f"{options.path.stem}-restored.ipynb")
    target.write_text(text(result.notebook))
    print(f"wrote {target}")
    return 0


def _grade(options: argparse.Namespace) -> int:
    from cvprod.lab.exercises.grade import grade_file, submissions

    exercises, reports = discover(options.course), []
    for path in submissions(options.path):
        report = grade_file(path, exercises, cell_seconds=options.seconds)
        print(report, flush=True)
        reports.append(report)
    if options.json:
        options.json.write_text(json.dumps([report.as_dict() for report in reports], indent=2) + "\n")
    return int(any(report.error for report in reports))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status (1: stale, not graded or not usable)."""
    parser = argparse.ArgumentParser(prog="python -m cvprod.lab.exercises", description=__doc__)
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
        print(error, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
