"""Everywhere that something about a person may lie, behind one interface: find it, erase it, let it expire.

A *subject* is the name by which a person stands in the data: the name of an API key, the owner of a job, a field of a
log line. `erase` takes it out of every store and writes that into the audit log (by a pseudonym); `residue` then reads
every byte of every file below the given folders, temporary files and journals included, and says where the name still
is. A store that forgets must be proved by something that does not know the store.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import sqlite3
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cvprod.files import locked, write_atomic

from .audit import Log, pseudonym

DAY = 24 * 3600.0
ERASED = "[erased]"


class StoreError(RuntimeError):
    """Something could not be erased; the message says what, and who can."""


class Store(Protocol):
    """One place where data about people may lie."""

    name: str
    days: float  # how long it may stay, whatever anybody asks

    def subjects(self) -> set[str]:
        """Names of all people in it."""
        ...

    def erase(self, subject: str) -> int:
        """Take out everything about the subject; how many things went. Raises StoreError."""
        ...

    def expire(self, now: float) -> int:
        """Take out what is older than `days`; how many things went. now: seconds since 1970."""
        ...


def check_subject(subject: str) -> str:
    """The name as it is. Raises ValueError for one that would match anything or nothing."""
    if not isinstance(subject, str) or len(subject.strip()) < 3 or not subject.isprintable():
        raise ValueError(f"a subject is a name of at least three printable characters, not {subject!r}")
    return subject


@dataclass(frozen=True)
class Keys:
    """The file of API keys: a line for each caller. Keys do not expire; a review does that."""

    path: Path
    name: str = "keys"
    days: float = float("inf")

    def _lines(self) -> list[tuple[str, str]]:
        try:
            lines = self.path.read_text().splitlines()
        except FileNotFoundError:
            return []
        return [(_field(line, ("name",)), line) for line in lines]

    def subjects(self) -> set[str]:
        return {name for name, _ in self._lines()} - {""}

    def erase(self, subject: str) -> int:
        lines = self._lines()
        kept = [line for name, line in lines if name != subject]
        if len(kept) < len(lines):
            write_atomic(self.path, "".join(f"{line}\n" for line in kept).encode(), mode=0o600)
        return len(lines) - len(kept)

    def expire(self, now: float) -> int:
        return 0


@dataclass(frozen=True)
class Jobs:
    """The folder of `cvprod.serving.jobs`: pictures, answers and whose they are. Half-written jobs count."""

    folder: Path
    name: str = "jobs"
    days: float = 1.0

    def _owners(self) -> Iterator[tuple[Path, str]]:
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            try:
                yield path, str(json.loads((path / "job.json").read_text())["owner"])
            except (OSError, ValueError, KeyError, TypeError):
                yield path, ""

    def subjects(self) -> set[str]:
        return {owner for _, owner in self._owners()} - {""}

    def erase(self, subject: str) -> int:
        """Marks a job first, so that a worker in the middle of it stops, as `jobs.Store.forget` does."""
        gone = 0
        for path, owner in list(self._owners()):
            if owner == subject:
                with suppress(OSError):
                    (path / "cancelled").touch()
                hidden = path.with_name(f".{path.name.lstrip('.')}.erased")
                path.rename(hidden)
                shutil.rmtree(hidden)
                gone += 1
        return gone

    def expire(self, now: float) -> int:
        old = [path for path, _ in self._owners() if path.stat().st_mtime < now - self.days * DAY]
        for path in old:
            shutil.rmtree(path)
        return len(old)


@dataclass(frozen=True)
class Lines:
    """Files of JSON lines, plain or gzipped: logs, and records of served verdicts.

    fields: those that name a person. The file that is being written belongs to its writer: rotate it first, or what is
    written while this one is replaced is lost.
    """

    folder: Path
    name: str = "logs"
    days: float = 30.0
    fields: tuple[str, ...] = ("key", "owner", "caller")
    patterns: tuple[str, ...] = ("*.log*", "*.ndjson*", "*.jsonl*")

    def _files(self) -> list[Path]:
        return sorted({path for pattern in self.patterns for path in self.folder.rglob(pattern) if path.is_file()})

    def subjects(self) -> set[str]:
        return {_field(line, self.fields) for path in self._files() for line in _read_lines(path)} - {""}

    def erase(self, subject: str) -> int:
        """Drop every line that has the name in one of the fields, or as a word anywhere."""
        word, gone = _word(subject), 0
        for path in self._files():
            lines = _read_lines(path)
            kept = [line for line in lines if _field(line, self.fields) != subject and not word.search(_plain(line))]
            if len(kept) < len(lines):
                text = "\n".join(kept).encode(errors="surrogateescape")
                write_atomic(path, gzip.compress(text) if path.suffix == ".gz" else text)
                gone += len(lines) - len(kept)
        return gone

    def expire(self, now: float) -> int:
        old = [path for path in self._files() if path.stat().st_mtime < now - self.days * DAY]
        for path in old:
            path.unlink()
        return len(old)


@dataclass(frozen=True)
class Database:
    """An SQLite file, such as MLflow's: the name is replaced in every text column, rows stay (lineage needs them).

    SQLite does not overwrite what it deletes, and its write-ahead log keeps old pages: so `secure_delete`, `VACUUM`
    and a checkpoint that empties the log belong to it.
    """

    path: Path
    name: str = "registry"
    days: float = float("inf")

    def _texts(self, base: sqlite3.Connection) -> Iterator[tuple[str, str]]:
        tables = base.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        for (table,) in tables.fetchall():
            for _, column, kind, *_ in base.execute(f"PRAGMA table_info({_quoted(table)})").fetchall():
                if not kind or re.search("CHAR|TEXT|CLOB|JSON", kind.upper()):
                    yield _quoted(table), _quoted(column)

    def subjects(self) -> set[str]:
        """Values of columns that hold a user's name."""
        found: set[str] = set()
        if self.path.exists():
            with closing(sqlite3.connect(self.path)) as base:
                for table, column in self._texts(base):
                    if re.search("user|owner|author", column, re.I):
                        found |= {str(v) for (v,) in base.execute(f"SELECT DISTINCT {column} FROM {table}") if v}
        return found - {ERASED}

    def erase(self, subject: str) -> int:
        if not self.path.exists():
            return 0
        gone = 0
        with closing(sqlite3.connect(self.path)) as base:
            base.execute("PRAGMA secure_delete = ON")
            with base:
                for table, column in list(self._texts(base)):
                    gone += base.execute(
                        f"UPDATE {table} SET {column} = replace({column}, ?, ?) WHERE instr({column}, ?)",
                        (subject, ERASED, subject),
                    ).rowcount
            base.execute("VACUUM")
            base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return gone

    def expire(self, now: float) -> int:
        return 0


@dataclass(frozen=True)
class Metrics:
    """Numbers that a monitoring system has copied by now: no name may ever get in, for none can be taken out.

    read: gives the exposition text, or whatever else must hold no names.
    """

    read: Callable[[], bytes]
    name: str = "metrics"
    days: float = 15.0

    def subjects(self) -> set[str]:
        return set()

    def erase(self, subject: str) -> int:
        if subject.encode() in self.read():
            raise StoreError(f"{subject!r} is in the metrics: take that label out of the code, and drop the series")
        return 0

    def expire(self, now: float) -> int:
        return 0


@dataclass(frozen=True)
class Backups:
    """A folder of tar archives. Nobody edits a backup: it grows old, and what was erased is erased again on restore.

    erased: file with the pseudonyms of all who were erased, one a line.
    """

    folder: Path
    erased: Path
    key: bytes
    name: str = "backups"
    days: float = 30.0

    def subjects(self) -> set[str]:
        return set()

    def erase(self, subject: str) -> int:
        with locked(self.erased.with_suffix(".lock")), self.erased.open("a") as file:
            file.write(pseudonym(subject, self.key) + "\n")
        return 0

    def expire(self, now: float) -> int:
        old = [path for path in self.folder.glob("*.tar*") if path.stat().st_mtime < now - self.days * DAY]
        for path in old:
            path.unlink()
        return len(old)

    def restore(self, archive: Path, target: Path, stores: Iterable[Store]) -> int:
        """Unpack an archive, and erase again whoever was erased since. stores: those that `target` brings back."""
        with tarfile.open(archive) as packed:
            packed.extractall(target, filter="data")  # no absolute paths, no links out of it, no devices
        gone = set(self.erased.read_text().split()) if self.erased.exists() else set()
        again = 0
        for store in stores:
            again += sum(store.erase(who) for who in store.subjects() if pseudonym(who, self.key) in gone)
        return again


def erase(subject: str, stores: Sequence[Store], log: Log, key: bytes, *, actor: str = "privacy") -> dict[str, int]:
    """Take a subject out of every store, and say so in the audit log. Returns how many things went, by store.

    Every store is tried, also after one has failed; then StoreError is raised, and the log holds that, too.
    """
    check_subject(subject)
    counts: dict[str, int] = {}
    faults: list[str] = []
    for store in stores:
        try:
            counts[store.name] = store.erase(subject)
        except (StoreError, OSError, sqlite3.Error) as error:
            faults.append(f"{store.name}: {error}")
    failed = [fault.partition(":")[0] for fault in faults]  # without the error's text, which may hold the name
    log.append(actor, "erase", pseudonym(subject, key), counts=counts, failed=failed)
    if faults:
        raise StoreError("; ".join(faults))
    return counts


def expire(stores: Sequence[Store], log: Log, now: float | None = None) -> dict[str, int]:
    """What the clock does: run once a day. Returns how many things went, by store."""
    moment = time.time() if now is None else now
    counts = {store.name: store.expire(moment) for store in stores}
    log.append("retention", "expire", counts=counts)
    return counts


def residue(subject: str, folders: Iterable[Path]) -> list[Path]:
    """Every file below the folders that still holds the name: hidden, temporary, gzipped, in a journal, in any form.

    Reads bytes, and knows nothing of formats but gzip and tar: plain, as JSON escapes it, and as UTF-16.
    """
    check_subject(subject)
    forms = {subject.encode(), json.dumps(subject)[1:-1].encode(), subject.encode("utf-16-le")}
    found = []
    for folder in folders:
        paths = sorted(Path(folder).rglob("*"))
        found += [
            path for path in paths if any(form in os.fsencode(path.name) for form in forms) or _holds(path, forms)
        ]
    return found


def _holds(path: Path, forms: set[bytes]) -> bool:
    if not path.is_file():
        return False
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        with suppress(OSError, EOFError):
            data += gzip.decompress(data)
    return any(form in data for form in forms)


def _field(line: str, names: Sequence[str]) -> str:
    try:
        entry = json.loads(line)
    except ValueError:
        return ""
    if not isinstance(entry, dict):
        return ""
    return next((str(entry[name]) for name in names if entry.get(name)), "")


def _plain(line: str) -> str:
    """A line with JSON's escapes undone, so that a name is found in whatever field it is."""
    try:
        return json.dumps(json.loads(line), ensure_ascii=False)
    except ValueError:
        return line


def _word(subject: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-]){re.escape(subject)}(?![\w-])")


def _read_lines(path: Path) -> list[str]:
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode(errors="surrogateescape").split("\n")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
