"""The ledger: every measured row of the book, with the machine, the versions and the date it came from.

One JSON-lines file a chapter, `chapter_NN.jsonl`: a header line, then one line a row. A chapter that runs
again replaces its own file whole, in one atomic step; it never touches another's.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

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
        if not isinstance(self.chapter, int) or not 1 <= self.chapter <= 12:
            raise LedgerError(f"chapter must be 1..12, not {self.chapter!r}.")
        if not self.name.strip():
            raise LedgerError("A row needs a name.")
        if self.kind not in KINDS:
            raise LedgerError(f"{self.name}: kind {self.kind!r} is unknown; use one of {', '.join(KINDS)}.")
        for field in dataclasses.fields(self)[3:-1]:
            value = getattr(self, field.name)
            if value is None:
                continue
            number = float(value)
            if math.isnan(number):  # a rate of nothing counted, say: not measured
                object.__setattr__(self, field.name, None)
                continue
            if not math.isfinite(number) or number < 0:
                raise LedgerError(f"{self.name}: {field.name} is {value!r}; a measured number is >= 0.")
            if field.name in ("accuracy", "defect_recall", "false_reject_rate") and number > 1:
                raise LedgerError(f"{self.name}: {field.name} is {value!r}; write a share, 0..1.")
            whole = field.name in ("size_bytes", "memory_bytes", "n_tiles")
            object.__setattr__(self, field.name, round(number) if whole else number)


def folder() -> Path:
    """Where the ledger lives: $CVPROD_LEDGER, or `_build/ledger` of the repository."""
    override = os.environ.get("CVPROD_LEDGER")
    return Path(override) if override else root() / "_build" / "ledger"


def record(chapter: int, rows: Iterable[Row | Mapping]) -> Path:
    """Replace the rows of one chapter, and return the file written.

    The new file is written beside the old one, synced, then renamed over it: a crash leaves the old rows.
    Raises LedgerError, before anything is touched, for a bad row, another chapter's row or a name used twice.
    """
    checked = [row if isinstance(row, Row) else _row({"chapter": chapter, **row}) for row in rows]
    if not checked:
        raise LedgerError(f"Chapter {chapter} recorded no rows; the old ones are kept.")
    names = [row.name for row in checked]
    for row in checked:
        if row.chapter != chapter:
            raise LedgerError(f"{row.name}: belongs to chapter {row.chapter}, not {chapter}.")
        if names.count(row.name) > 1:
            raise LedgerError(f"{row.name}: two rows of chapter {chapter} have this name.")
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
    remedy = "Delete the file and run its chapter again."
    try:
        header, *rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (ValueError, UnicodeDecodeError):
        raise LedgerError(f"{path}: damaged (empty, cut short or not JSON lines). {remedy}") from None
    if not isinstance(header, dict) or header.get("ledger") != FORMAT:
        raise LedgerError(f"{path}: does not begin with a ledger header of format {FORMAT}. {remedy}")
    if header.get("rows") != len(rows):
        said = header.get("rows")
        raise LedgerError(f"{path}: holds {len(rows)} rows where its header says {said}. {remedy}")
    try:
        origin = {
            "date": header["date"],
            "cpu": header["machine"]["cpu"],
            "cores": header["machine"]["cores"],
            "machine": header["machine"],
            "versions": header["versions"],
        }
        return [dataclasses.asdict(_row(row)) | origin for row in rows]
    except (KeyError, TypeError, LedgerError) as error:
        raise LedgerError(f"{path}: {error}. {remedy}") from None


def _row(fields: Mapping) -> Row:
    known = {field.name for field in dataclasses.fields(Row)}
    unknown = sorted(set(fields) - known)
    if unknown:
        raise LedgerError(f"unknown field {', '.join(unknown)}; a row has {', '.join(sorted(known))}.")
    return Row(**fields)
