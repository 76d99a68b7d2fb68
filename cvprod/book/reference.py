"""Record the reference run: chapters executed several times on a quiet machine, their ledger rows kept as data.

``python -m cvprod.book.reference`` runs chapters 2 and 6, three times each and in turns, and writes
cvprod/reference.json; `cvprod.reference` shows it beside a reader's own numbers. A machine that something else uses, a
failing cell or a claim that does not hold end it, and the file stays as it was.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from cvprod import claims, ledger, measure, reference
from cvprod.book import notebooks
from cvprod.book.build import CELL_TIMEOUT, environment
from cvprod.book.failures import failures, run_to_the_end
from cvprod.files import write_atomic
from cvprod.repo import ROOT

CHAPTERS, REPEATS = ("2", "6"), 3


class Disturbed(RuntimeError):
    """The machine is not quiet, or a chapter does not say what it should; the message says which."""


def run(path: Path, chapter: int) -> dict[str, dict[str, float]]:
    """Execute a chapter once; its ledger rows as name -> measured column -> value.

    Raises Disturbed where a cell fails (claims are judged as for publishing), or where the cores are not ours after it.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        environment((claims.MODE, "publish"), ("CVPROD_LEDGER", folder), replace=True),
    ):
        failed = failures(run_to_the_end(path, timeout=CELL_TIMEOUT), path.name)
        rows = ledger.read(chapter)
    if failed:
        raise Disturbed("\n".join(map(str, failed)))
    if not measure.undisturbed():
        raise Disturbed(f"something else used the machine while {path.name} ran")
    if rows.empty:
        raise Disturbed(f"{path.name} records no rows in the ledger")
    return {
        row["name"]: {column: row[column] for column in reference.MEASURED if row[column] == row[column]}  # not NaN
        for row in rows.to_dict("records")
    }


def record(paths: Sequence[Path], repeats: int, target: Path = reference.PATH) -> None:
    """Run the chapters in turns, `repeats` times, and write what they measured; other chapters' records stay."""
    runs: dict[Path, list[dict]] = {path: [] for path in paths}
    for turn in range(repeats):
        for path in paths:
            print(f"{path.name}, run {turn + 1} of {repeats}", flush=True)
            runs[path].append(run(path, int(path.name[:2])))
    machine = measure.machine()
    kept = json.loads(target.read_text(encoding="utf-8")) if target.is_file() else {"chapters": {}}
    for path, found in runs.items():
        kept["chapters"][path.name[:2]] = {
            "machine": {key: value for key, value in machine.items() if key != "versions"},
            "versions": machine["versions"],
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "repeats": repeats,
            "rows": {
                name: {
                    column: [one[name][column] for one in found if column in one.get(name, {})] for column in columns
                }
                for name, columns in found[0].items()
            },
        }
    write_atomic(target, (json.dumps(kept, indent=1, sort_keys=True) + "\n").encode())


def main(arguments: Sequence[str] | None = None, root: Path = ROOT, target: Path = reference.PATH) -> int:
    """Run the command line; returns the exit status (1: disturbed, and nothing is written; 2: a wrong argument)."""
    parser = argparse.ArgumentParser(prog="python -m cvprod.book.reference", description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=REPEATS, metavar="N", help="at least 3 (default: %(default)s)")
    parser.add_argument("chapters", nargs="*", default=CHAPTERS, metavar="CHAPTER", help="default: 2 6")
    options = parser.parse_args(arguments)
    try:
        if options.repeats < REPEATS:
            raise ValueError(f"--repeats {options.repeats}: a reference is measured at least {REPEATS} times.")
        paths = [notebooks.find(number, root) for number in options.chapters]
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        if not measure.undisturbed():
            raise Disturbed("something else uses this machine's cores now")
        record(paths, options.repeats, target)
    except Disturbed as error:
        print(f"No reference was recorded: {error}", file=sys.stderr)
        return 1
    print(f"wrote {os.path.relpath(target)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
