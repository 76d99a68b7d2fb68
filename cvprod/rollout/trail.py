"""The audit trail of a roll-out: one line for each decision, for people and for programs, that shows when it was cut.

Each line is a JSON object that ends in a hash over itself and the line before. Whoever changes or removes a line in
the middle breaks the chain (`read` says where). Against the removal of the *last* lines only a copy elsewhere helps.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path


class TrailError(ValueError):
    """A trail that cannot be trusted; the message says which line."""


class Trail:
    """Append-only, on disk before `say` returns.

    Args:
        path: the file; an existing one is continued, after its chain was checked.
        clock: for tests.

    Raises TrailError for an existing file whose chain is broken.
    """

    def __init__(self, path: Path, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.path, self._clock = Path(path), clock
        entries = read(self.path) if self.path.exists() else []
        self._last = entries[-1]["hash"] if entries else ""

    def say(self, event: str, why: str, **more: object) -> dict:
        """Write one entry, and return it. `more` must be JSON."""
        entry = {"time": self._clock().isoformat(timespec="milliseconds"), "event": event, "why": why, **more}
        entry["hash"] = _hash(self._last, entry)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._last = entry["hash"]
        return entry


def read(path: Path) -> list[dict]:
    """All entries. Raises TrailError where a line was changed, lost or cut off, OSError where the file is missing."""
    entries, last = [], ""
    for number, line in enumerate(Path(path).read_text("utf-8").splitlines(), 1):
        try:
            entry = json.loads(line)
            said = {key: value for key, value in entry.items() if key != "hash"}
            sound = entry["hash"] == _hash(last, said)
        except (ValueError, KeyError, AttributeError, TypeError):
            sound = False
        if not sound:
            raise TrailError(f"{path}: line {number} is not the one that was written after the line before it.")
        entries.append(entry)
        last = entry["hash"]
    return entries


def sentences(entries: list[dict]) -> list[str]:
    """Each entry as a person would say it."""
    return [
        f"{entry['time'][11:23]} {entry['event']}"
        + (f" to {entry['share']:.0%}" if "share" in entry else "")
        + f": {entry['why']}."
        for entry in entries
    ]


def _hash(last: str, entry: dict) -> str:
    return hashlib.sha256((last + json.dumps(entry, sort_keys=True, ensure_ascii=False)).encode()).hexdigest()
