"""The ledger: every measured row of the book, with the machine, the versions and the date it came from.

One JSON-lines file a chapter, `chapter_NN.jsonl`: a header line, then one line a row. A chapter that runs
again replaces its own file whole, in one atomic step; it never touches another's.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import SupportsFloat, TypeVar

import numpy as np
import pandas as pd

from cvprod import measure
from cvprod.files import write_atomic
from cvprod.repo import root

FORMAT = 1
KINDS = ("baseline", "network", "optimisation", "runtime", "device", "server", "rollout", "cost", "security", "other")


class LedgerError(ValueError):
    """A row or a ledger file that cannot be trusted; the message says which and what to do."""


@dataclass(frozen=True)
class Row:
    """One measured thing. Every number is optional; what was not measured (None or nan) is None.

    Units are in the names; `accuracy` is a share (0..1) of `n_tiles` test tiles, `tiles_per_s` counts whole
    tiles, `cost_per_million_eur` is euros for a million tiles.
    """

    chapter: int
    name: str
    kind: str = "other"
    p50_ms: float | None = None
    p99_ms: float | None = None
    tiles_per_s: float | None = None
    size_bytes: int | None = None
    memory_bytes: int | None = None
    accuracy: float | None = None
    defect_recall: float | None = None
    false_reject_rate: float | None = None
    n_tiles: int | None = None
    cost_per_million_eur: float | None = None
    note: str = ""

    def __post_init__(self) -> None:
        _check_chapter(self.chapter)
        if not isinstance(self.name, str) or not self.name.strip():
            raise LedgerError(f"A row needs a name, not {_short(self.name)}.")
        if not isinstance(self.note, str):
            raise LedgerError(f"{self.name}: note is {_short(self.note)}; write a text.")
        if self.kind not in KINDS:
            raise LedgerError(f"{self.name}: kind {_short(self.kind)} is unknown; use one of {', '.join(KINDS)}.")
        for field in dataclasses.fields(self)[3:-1]:
            value = getattr(self, field.name)
            if value is None:
                continue
            number = _number(value)
            if number is None:
                raise LedgerError(f"{self.name}: {field.name} is {_short(value)}, not a number.")
            if math.isnan(number):  # a rate of nothing counted, say: not measured
                object.__setattr__(self, field.name, None)
                continue
            if not math.isfinite(number) or number < 0:
                raise LedgerError(f"{self.name}: {field.name} is {value!r}; a measured number is >= 0.")
            if field.name in ("accuracy", "defect_recall", "false_reject_rate") and number > 1:
                raise LedgerError(f"{self.name}: {field.name} is {value!r}; write a share, 0..1.")
            whole = field.name in ("size_bytes", "memory_bytes", "n_tiles")
            if whole and number >= 2**63:  # what a table's column holds
                raise LedgerError(f"{self.name}: {field.name} is {_short(value)}; no computer has so many.")
            object.__setattr__(self, field.name, round(number) if whole else number)


def _check_chapter(chapter: object) -> None:
    if type(chapter) is not int or not 1 <= chapter <= 12:
        raise LedgerError(f"chapter must be 1..12, not {_short(chapter)}.")


def _number(value: object) -> float | None:
    """The value as a float; None for what is no number (a text, a truth value), or is too large for one."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, SupportsFloat):
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _short(value: object) -> str:
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an int of more digits, or lists of more levels, than Python prints
        text = type(value).__name__
    return text if len(text) <= 60 else f"{text[:57]}..."


def folder() -> Path:
    """Where the ledger lives: $CVPROD_LEDGER, or `_build/ledger` of the repository."""
    override = os.environ.get("CVPROD_LEDGER")
    return Path(override) if override else root() / "_build" / "ledger"


def record(chapter: int, rows: Iterable[Row | Mapping]) -> Path:
    """Replace the rows of one chapter, and return the file written.

    The new file is written beside the old one, synced, then renamed over it: a crash leaves the old rows.
    Raises LedgerError, before anything is touched, for a bad row, another chapter's row or a name used twice.
    """
    _check_chapter(chapter)
    checked = [row if isinstance(row, Row) else _row(row, chapter) for row in rows]
    if not checked:
        raise LedgerError(f"Chapter {chapter} recorded no rows; the old ones are kept.")
    _check_batch(chapter, checked)
    machine = measure.machine()
    header = {
        "ledger": FORMAT,
        "chapter": chapter,
        "rows": len(checked),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {key: value for key, value in machine.items() if key != "versions"},
        "versions": machine["versions"],
    }
    lines = [json.dumps(header), *(json.dumps(dataclasses.asdict(row)) for row in checked)]
    path = folder() / f"chapter_{chapter:02d}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, ("\n".join(lines) + "\n").encode())
    return path


def _check_batch(chapter: int, rows: list[Row]) -> None:
    names = Counter(row.name for row in rows)
    for row in rows:
        if row.chapter != chapter:
            raise LedgerError(f"{row.name}: belongs to chapter {row.chapter}, not {chapter}.")
        if names[row.name] > 1:
            raise LedgerError(f"{row.name}: two rows of chapter {chapter} have this name.")


COLUMNS = [field.name for field in dataclasses.fields(Row)] + ["date", "cpu", "cores", "machine", "versions"]


def read(chapter: int | None = None) -> pd.DataFrame:
    """All rows, or one chapter's, in chapter order; an empty table with the same columns if there are none.

    Columns: the fields of `Row`, `date` (UTC timestamp), `cpu`, `cores`, and the dicts `machine` and
    `versions`. Raises LedgerError for a damaged file, naming it and the chapter to run again.
    """
    pattern = "chapter_*.jsonl" if chapter is None else f"chapter_{chapter:02d}.jsonl"
    records = [record for path in sorted(folder().glob(pattern)) for record in _read_file(path)]
    table = pd.DataFrame(records, columns=COLUMNS)
    numbers = [c for c in COLUMNS if c not in ("name", "kind", "note", "date", "cpu", "machine", "versions")]
    table[numbers] = table[numbers].apply(pd.to_numeric)
    table["date"] = pd.to_datetime(table["date"], utc=True)
    return table


def _read_file(path: Path) -> list[dict]:
    try:
        first, *others = path.read_text(encoding="utf-8").splitlines() or [""]
        header, origin = _parsed(1, first, lambda header: (header, _origin(header, path.name, len(others))))
        rows = [_parsed(number, line, _row) for number, line in enumerate(others, 2)]
        _check_batch(header["chapter"], rows)
    except LedgerError as error:
        reason = str(error).removesuffix(".")
    except OSError as error:
        reason = f"cannot be read ({error.strerror or error})"
    except UnicodeDecodeError:
        reason = "damaged, not text in UTF-8"
    else:
        return [dataclasses.asdict(row) | origin for row in rows]
    raise LedgerError(f"{path}: {reason}. Delete the file and run its chapter again.")


Result = TypeVar("Result")


def _parsed(number: int, line: str, read: Callable[[object], Result]) -> Result:
    """What ``read`` makes of a line's JSON value. Raises LedgerError, with the line's number, where it cannot."""
    try:
        return read(json.loads(line))
    except LedgerError as error:
        raise LedgerError(f"line {number}: {error}") from None
    except (ValueError, RecursionError):
        raise LedgerError(f"line {number}: damaged (empty, cut short or not JSON)") from None


def _origin(header: object, file: str, rows: int) -> dict:
    """The columns that a file's header gives to each of its rows. Raises LedgerError for a header that is none."""
    if not isinstance(header, dict) or header.get("ledger") != FORMAT:
        raise LedgerError(f"does not begin with a ledger header of format {FORMAT}")
    chapter, said, machine = header.get("chapter"), header.get("rows"), header.get("machine")
    _check_chapter(chapter)
    if file != f"chapter_{chapter:02d}.jsonl":
        raise LedgerError(f"its header says chapter {chapter}, and its name another")
    if type(said) is not int or said != rows or rows < 1:
        raise LedgerError(f"holds {rows} rows where its header says {_short(said)}")
    if not isinstance(machine, dict) or not isinstance(header.get("versions"), dict):
        raise LedgerError("its header lacks the machine or the versions")
    cpu, cores = machine.get("cpu"), machine.get("cores")
    if not isinstance(cpu, str) or type(cores) is not int or cores < 1:
        raise LedgerError(f"its machine has the CPU {_short(cpu)} and {_short(cores)} cores")
    try:
        moment = datetime.fromisoformat(header["date"])
        date = pd.Timestamp(moment.replace(tzinfo=moment.tzinfo or UTC)).tz_convert(UTC).as_unit("ns")
    except (KeyError, TypeError, ValueError, OverflowError):
        raise LedgerError(f"its header has the date {_short(header.get('date'))}") from None
    return {"date": date, "cpu": cpu, "cores": cores, "machine": machine, "versions": header["versions"]}


def _row(fields: object, chapter: int | None = None) -> Row:
    """The row that a mapping describes, of that chapter unless it names one. Raises LedgerError for anything else."""
    if not isinstance(fields, Mapping):
        raise LedgerError(f"{_short(fields)} is no row; a row is a mapping of its fields.")
    known = {field.name for field in dataclasses.fields(Row)}
    unknown = sorted(str(name) for name in set(fields) - known)
    if unknown:
        raise LedgerError(f"unknown field {', '.join(unknown)}; a row has {', '.join(sorted(known))}.")
    return Row(**{"chapter": chapter, "name": None, **fields})
