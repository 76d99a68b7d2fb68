"""An audit log: who did what to which data, in a file that shows when it was changed.

Each line holds the hash of the line before it (a hash chain), so a changed, removed or inserted line breaks every hash
behind it. A chain alone has two holes. Whoever can write the file can also write it anew from the changed line on; and
lines cut off at the end leave a shorter chain that is just as whole. So the head (how many lines, and the last hash) is
signed from time to time by a key that the log's host does not have, or has only to sign, and kept somewhere else: an
*anchor*. Whatever stands before an anchor can no longer be changed or cut without being found.

Source of the idea: S. Haber and W. S. Stornetta, "How to time-stamp a digital document", Journal of Cryptology, 1991.

People stand in the log by a pseudonym, an HMAC of their name: the log must outlive an erasure, and prove it, without
keeping what was erased. Who holds the key can still ask "is this about Ada?"; destroy the key, and nobody can.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from cvprod.files import locked

GENESIS = "0" * 64


class AuditError(ValueError):
    """The log is not what was written; the message says where that begins to show."""


@dataclass(frozen=True)
class Anchor:
    """The head of a log at one moment: number of lines, hash of the last one, and an HMAC over both (hex)."""

    lines: int
    head: str
    mac: str


def pseudonym(subject: str, key: bytes) -> str:
    """How a person stands in the log: 32 hex digits that say nothing to who has no key."""
    return hmac.new(key, b"subject\0" + subject.encode(), hashlib.sha256).hexdigest()[:32]


def _digest(entry: dict) -> str:
    """Hash of an entry without its own; JSON with sorted keys is the same text everywhere."""
    text = json.dumps({k: v for k, v in entry.items() if k != "hash"}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


class Log:
    """The audit log in one file, for any number of processes on this host."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    def append(self, actor: str, action: str, subject: str = "", **details: object) -> str:
        """Write one entry, on disk when this returns; gives its hash.

        actor: who did it (a role or a service). action: what, such as "erase". subject: a pseudonym or nothing.
        Raises AuditError where the log's end is damaged: nothing may be chained to that.
        """
        with locked(self.path.with_suffix(".lock")):
            head = self._head()
            entry = {"time": round(time.time(), 3), "actor": actor, "action": action, "subject": subject,
                     "details": details, "previous": head}  # fmt: skip
            entry["hash"] = _digest(entry)
            with self.path.open("ab") as file:
                file.write(json.dumps(entry, sort_keys=True, separators=(",", ":")).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            return entry["hash"]

    def _head(self) -> str:
        """Hash of the last line: read from the end, for logs grow long."""
        try:
            with self.path.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - 65536))
                tail = file.read()
        except FileNotFoundError:
            return GENESIS
        if not tail:
            return GENESIS
        if not tail.endswith(b"\n"):
            raise AuditError(f"{self.path.name}: the last line is cut; look at the disk, then mend or archive the log")
        return _parsed(tail.splitlines()[-1], "the last line")["hash"]

    def entries(self) -> Iterator[dict]:
        """Every entry in order. Raises AuditError for a line that is none."""
        if self.path.exists():
            with self.path.open("rb") as file:
                for number, line in enumerate(file, 1):
                    yield _parsed(line, f"line {number}")

    def anchor(self, key: bytes) -> Anchor:
        """The head of now, signed. Keep it on another machine. Raises AuditError for a log that does not verify."""
        lines, head = self._chain()
        return Anchor(lines, head, _mac(lines, head, key))

    def verify(self, anchors: list[Anchor] | tuple[Anchor, ...] = (), key: bytes = b"") -> int:
        """How many lines the log has, if every hash is right and every anchor's line is still there.

        Raises AuditError: an entry was changed, removed or put in; an anchor is not signed with the key; or an anchor
        knows lines that the log has not, or has otherwise.
        """
        heads = {0: GENESIS}
        for anchor in anchors:
            if not hmac.compare_digest(anchor.mac, _mac(anchor.lines, anchor.head, key)):
                raise AuditError(f"the anchor over {anchor.lines} lines is not signed with this key")
        wanted = {anchor.lines for anchor in anchors}
        lines, _ = self._chain(wanted, heads)
        for anchor in anchors:
            if anchor.lines > lines:
                raise AuditError(f"the log's tail was cut: an anchor knows {anchor.lines} lines, there are {lines}")
            if heads[anchor.lines] != anchor.head:
                raise AuditError(f"the first {anchor.lines} lines are not those that were anchored: written anew")
        return lines

    def _chain(self, wanted: set[int] | None = None, heads: dict[int, str] | None = None) -> tuple[int, str]:
        """Number of lines and the last hash; raises AuditError where the chain breaks."""
        number, previous = 0, GENESIS
        for number, entry in enumerate(self.entries(), 1):
            if entry["previous"] != previous:
                raise AuditError(f"line {number} does not follow line {number - 1}: a line was removed or put in")
            if entry["hash"] != _digest(entry):
                raise AuditError(f"line {number} was changed after it was written")
            previous = entry["hash"]
            if wanted is not None and heads is not None and number in wanted:
                heads[number] = previous
        return number, previous


def _mac(lines: int, head: str, key: bytes) -> str:
    return hmac.new(key, f"anchor\0{lines}\0{head}".encode(), hashlib.sha256).hexdigest()


def _parsed(line: bytes, name: str) -> dict:
    try:
        entry = json.loads(line)
    except ValueError:
        entry = None
    if not isinstance(entry, dict) or not isinstance(entry.get("hash"), str) or "previous" not in entry:
        raise AuditError(f"{name} of the log is no entry")
    return entry


def save_anchor(anchor: Anchor, path: Path) -> None:
    """Add an anchor to a file of anchors, one JSON object a line."""
    with path.open("a") as file:
        file.write(json.dumps(asdict(anchor)) + "\n")


def read_anchors(path: Path) -> list[Anchor]:
    """The anchors of a file. Raises AuditError for a line that is none."""
    found = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        try:
            found.append(Anchor(**json.loads(line)))
        except (ValueError, TypeError):
            raise AuditError(f"{path.name}: line {number} is no anchor") from None
    return found
