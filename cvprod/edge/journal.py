"""The device's log of decisions: JSON lines, bounded in size, and never a reason to stop inspecting.

Policy on a full disk, in this order: give up closed files, the oldest first; if that does not help, drop lines,
count them, and try again a little later. The count is written with the first line that fits again, so that a gap in
the log says that it is one.
"""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

RETRY_S = 5.0


class Journal:
    """Append-only log in `folder`: current.jsonl, and closed files by number. All sizes in bytes."""

    def __init__(
        self, folder: Path, *, file_bytes: int = 1_000_000, total_bytes: int = 20_000_000, reserve: int = 50_000_000
    ) -> None:
        """file_bytes: size at which a file is closed; total_bytes: of all of them; reserve: disk space left free."""
        self.folder, self.file_bytes, self.total_bytes, self.reserve = Path(folder), file_bytes, total_bytes, reserve
        self.dropped = 0
        self._unreported = 0
        self._blocked_until = 0.0
        self._current = self.folder / "current.jsonl"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._mend()
        except OSError:
            self._blocked_until = time.monotonic() + RETRY_S

    def _mend(self) -> None:
        """Cut off the half line that a killed process left."""
        if not self._current.is_file() or self._current.is_symlink():
            return
        data = self._current.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            with self._current.open("rb+") as file:
                file.truncate(whole)

    def write(self, record: dict[str, Any]) -> bool:
        """Add a line; False where it was dropped. Never raises for a full or broken disk."""
        if time.monotonic() < self._blocked_until:
            return self._drop()
        line = dict(record, dropped_before=self._unreported) if self._unreported else record
        text = json.dumps(line, separators=(",", ":")) + "\n"
        while True:
            try:
                self._room(len(text))
                with self._current.open("a", encoding="utf-8") as file:
                    file.write(text)
            except OSError:
                if self._forget_oldest():
                    continue
                self._blocked_until = time.monotonic() + RETRY_S
                return self._drop()
            self._unreported = 0
            return True

    def _drop(self) -> bool:
        self.dropped += 1
        self._unreported += 1
        return False

    def _room(self, size: int) -> None:
        if self._current.is_file() and self._current.stat().st_size + size > self.file_bytes:
            closed = self._closed()
            number = int(closed[-1].stem) + 1 if closed else 1
            self._current.replace(self.folder / f"{number:08d}.jsonl")
        while sum(p.stat().st_size for p in self._closed()) + self.file_bytes > self.total_bytes:
            if not self._forget_oldest():
                break
        if shutil.disk_usage(self.folder).free < self.reserve:
            raise OSError("the disk is down to its reserve")

    def _closed(self) -> list[Path]:
        return sorted(self.folder.glob("[0-9]*.jsonl"))

    def _forget_oldest(self) -> bool:
        try:
            self._closed()[0].unlink()
        except (IndexError, OSError):
            return False
        return True
