"""The recorded reference run: what the chapters' ledger rows were on a quiet machine, beside what they are here.

A reader's machine may be busy, or slow, or of another kind; its numbers are true of that machine. In `reference.json`
stands what a quiet one measured, each row several times, with the machine and the date.
``python -m cvprod.book.reference`` writes it; `beside` shows it.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from cvprod import ledger

PATH = Path(__file__).with_name("reference.json")
#: Columns of the ledger that are measured anew in every run.
MEASURED = ("p50_ms", "p99_ms", "tiles_per_s")


def read(chapter: int, path: Path = PATH) -> dict | None:
    """The reference of a chapter, or None where none was recorded.

    Keys: machine and versions (as `cvprod.measure.machine` has them), date (ISO, UTC), repeats, and rows: name ->
    column of `MEASURED` -> the values of all repeats.
    """
    if not path.is_file():
        return None
    return json.loads(path.read_text(encoding="utf-8"))["chapters"].get(f"{chapter:02d}")


def caption(chapter: int, path: Path = PATH) -> str:
    """One sentence for a table: where and when the reference was measured, or that there is none."""
    found = read(chapter, path)
    if found is None:
        return "No reference run of this chapter is recorded yet; these are the numbers of this run."
    machine = found["machine"]
    return (
        f"Here: this run. Reference: {machine['cpu']}, {machine['cores']} cores, {found['date'][:10]}, "
        f"the median of {found['repeats']} runs (lowest to highest)."
    )


def beside(chapter: int, column: str, path: Path = PATH) -> pd.DataFrame:
    """A chapter's ledger rows here and in the reference, indexed by name; columns "here" and "reference" (a text).

    column: one of `MEASURED`; rows that do not have it are left out. Raises ValueError for another column.
    """
    if column not in MEASURED:
        raise ValueError(f"column must be one of {', '.join(MEASURED)}, not {column!r}.")
    here = ledger.read(chapter).set_index("name")[column].dropna()
    rows = (read(chapter, path) or {"rows": {}})["rows"]
    told = [_text(rows.get(name, {}).get(column, [])) for name in here.index]
    return pd.DataFrame({"here": here, "reference": told})


def _text(values: list[float]) -> str:
    if not values:
        return "–"
    low, middle, high = (
        f"{value:.3g}" if value < 100 else f"{value:,.0f}" for value in np.percentile(values, (0, 50, 100))
    )
    return f"{middle} ({low} to {high})"
