"""API keys and rate limits.

Keys are 256 random bits, so a plain SHA-256 of them is enough (nobody can try them all; a slow hash protects weak
passwords, and would cost more than the inspection). The file holds hashes only: one JSON object a line.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import os
import re
import secrets
import time
from collections import OrderedDict
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from .errors import ServiceError
from .logs import log

PREFIX = "cvp_"
SCOPES = ("inspect", "admin")
MAX_RATE = 1e9


@dataclass(frozen=True)
class Key:
    """A caller: name, SHA-256 of the key as hex, what it may do, and its own rate (requests a second, 0 as for all)."""

    name: str
    sha256: str
    scopes: tuple[str, ...] = ("inspect",)
    rate: float = 0.0

    def __post_init__(self) -> None:
        """Files of keys are edited by hand. Raises ValueError, without what stands there: it may be a secret."""
        if not isinstance(self.name, str) or not self.name.isprintable() or not 0 < len(self.name) <= 64:
            raise ValueError("a key's name has 1 to 64 printable characters")
        if not isinstance(self.sha256, str) or not re.fullmatch("[0-9a-f]{64}", self.sha256):
            raise ValueError("a key's sha256 has 64 hexadecimal digits")
        if not isinstance(self.scopes, tuple) or not all(scope in SCOPES for scope in self.scopes):
            raise ValueError(f"a key's scopes are a list of: {', '.join(SCOPES)}")
        if type(self.rate) not in (int, float) or not 0 <= self.rate <= MAX_RATE:  # nan compares with nothing
            raise ValueError(f"a key's rate is a number from 0 to {MAX_RATE:g} (requests a second; 0: as for all)")


FIELDS = {field.name for field in fields(Key)}


def add(path: Path, name: str, scopes: tuple[str, ...] = ("inspect",), rate: float = 0.0) -> str:
    """Make a key, store its hash, return the key: the only time that anybody sees it. Raises ValueError."""
    secret = PREFIX + secrets.token_urlsafe(32)
    key = Key(name, hashlib.sha256(secret.encode()).hexdigest(), tuple(scopes), rate)
    if path.exists() and any(other.name == name for other in read(path)):
        raise ValueError(f"there is a key named {name!r} already; remove its line first")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(json.dumps(asdict(key)) + "\n")
    return secret


def read(path: Path) -> list[Key]:
    """The keys of a file. Raises ValueError that names the line."""
    keys, faults = sift(path)
    if faults:
        raise ValueError(faults[0])
    return keys


def sift(path: Path) -> tuple[list[Key], list[str]]:
    """The keys of a file, and what is wrong with its other lines."""
    keys, faults = [], []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        if not line.strip() or line.startswith(b"#"):
            continue
        try:
            keys.append(_key(line))
        except ValueError as error:
            faults.append(f"line {number} of the key file is not a key: {error}")
    return keys, faults


def _key(line: bytes) -> Key:
    try:
        document = json.loads(line.decode())
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    if not isinstance(document, dict) or not {"name", "sha256"} <= document.keys() <= FIELDS:
        raise ValueError(f"it has name and sha256, and may have {', '.join(sorted(FIELDS - {'name', 'sha256'}))}")
    document.setdefault("scopes", ["inspect"])
    if isinstance(document["scopes"], list):
        document["scopes"] = tuple(document["scopes"])
    if isinstance(document["sha256"], str):
        document["sha256"] = document["sha256"].lower()  # some tools write capitals
    return Key(**document)


class Keys:
    """Keys of a file, read again when it changes. Without a file everybody is let in, with every scope."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._next = 0.0
        self._fault = ""
        self._keys: list[Key] = []
        if path is not None:
            self._keys, _ = sift(path)  # the service does not start with a bad line; a worker that starts again must
            self._refresh_if_good()

    @property
    def open(self) -> bool:
        return self._path is None

    def _refresh(self) -> None:
        assert self._path is not None
        found = self._path.stat()
        stamp = (found.st_mtime_ns, found.st_size)
        if stamp != self._stamp:
            self._keys, self._stamp = read(self._path), stamp
        self._fault = ""

    def _refresh_if_good(self) -> None:
        """What was read before still holds where the file is half-written, mistyped or gone; the log says so, once."""
        try:
            self._refresh()
        except (OSError, ValueError) as error:
            fault = getattr(error, "strerror", None) or str(error)
            if fault != self._fault:
                log.warning("keys", extra={"event": "keys-refused", "reason": fault})
            self._fault = fault

    def identify(self, headers: dict[bytes, bytes], scope: str = "inspect") -> Key | None:
        """Who asks; None where no keys are set. Raises ServiceError (unauthorized, forbidden)."""
        if self._path is None:
            return None
        now = time.monotonic()
        if now >= self._next:
            self._next = now + 1.0
            self._refresh_if_good()
        given = headers.get(b"x-api-key", b"")
        kind, _, token = headers.get(b"authorization", b"").partition(b" ")
        if kind.lower() == b"bearer":
            given = token.strip()
        digest = hashlib.sha256(given).hexdigest()
        found = None
        for key in self._keys:  # all of them, in constant time each: the time says nothing about which was close
            if hmac.compare_digest(key.sha256, digest):
                found = key
        if found is None:
            raise ServiceError("unauthorized", headers={"WWW-Authenticate": "Bearer"})
        if scope not in found.scopes:
            raise ServiceError("forbidden", f"This needs a key with the scope {scope}.")
        return found


class Limiter:
    """A token bucket for each caller, twice its rate deep; bounded in memory: the callers seen last are kept.

    Each worker has its own buckets, so `rate` is what one worker grants: the service divides the limit by its workers.
    """

    def __init__(self, rate: float, *, callers: int = 10_000) -> None:
        self.rate = rate
        self._callers = callers
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str, rate: float = 0.0) -> None:
        """One request of a caller. Raises ServiceError (rate-limited) with Retry-After."""
        rate = rate or self.rate
        if not rate:
            return
        now, depth = time.monotonic(), max(1.0, 2 * rate)
        tokens, then = self._buckets.pop(caller, (depth, now))
        tokens = min(depth, tokens + (now - then) * rate)
        allowed = tokens >= 1
        self._buckets[caller] = (tokens - 1 if allowed else tokens, now)
        if len(self._buckets) > self._callers:
            self._buckets.popitem(last=False)
        if not allowed:
            wait = max(1, math.ceil((1 - tokens) / rate))
            raise ServiceError(
                "rate-limited", headers={"Retry-After": str(wait), "RateLimit": f"limit={rate:g}, remaining=0"}
            )
