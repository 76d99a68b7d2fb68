"""The systems that a pipeline acts upon and does not own: what was done there stays done, whoever is killed.

People who label, the router in front of the service, the plant's message board, the archive of gate reports: each takes
a request and cannot take it back. Like a payment service, each accepts an *idempotency key* and then does a request
with the same key once, however often it comes.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path


class Outside:
    """One SQLite file, one row for each thing done. Rows are on disk when `do` returns."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        with self._open() as book:
            book.execute(
                "CREATE TABLE IF NOT EXISTS done (number INTEGER PRIMARY KEY, system TEXT NOT NULL, key TEXT, "
                "asked TEXT NOT NULL, UNIQUE (system, key))"  # without a key nothing is the same: NULLs differ
            )

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=60)

    def do(self, system: str, asked: Mapping, key: str | None = None) -> int:
        """Do it and return its number; with a key that was used before, return the number of that time."""
        text = json.dumps(asked, sort_keys=True)
        with self._open() as book:
            row = book.execute(
                "INSERT INTO done (system, key, asked) VALUES (?, ?, ?) ON CONFLICT DO NOTHING RETURNING number",
                (system, key, text),
            ).fetchone()
            if row is not None:
                return row[0]
            number, before = book.execute(
                "SELECT number, asked FROM done WHERE system = ? AND key = ?", (system, key)
            ).fetchone()
        if before != text:
            raise ValueError(f"{system}: the key {key!r} was used for another request; a key names one request.")
        return number

    def log(self, system: str | None = None) -> list[dict]:
        """What was done, in order: dicts with `number`, `system`, `key` and what was asked."""
        with self._open() as book:
            rows = book.execute("SELECT number, system, key, asked FROM done ORDER BY number").fetchall()
        return [
            {"number": number, "system": name, "key": key} | json.loads(asked)
            for number, name, key, asked in rows
            if system in (None, name)
        ]

    def count(self, system: str) -> int:
        """How often something was done there."""
        return len(self.log(system))
