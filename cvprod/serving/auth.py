"""API keys and rate limits.

Keys are 256 random bits, so a plain SHA-256 of them is enough (nobody can try them all; a slow hash protects weak
passwords, and would cost more than the inspection). The file holds hashes only: one JSON object a line.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import math
import os
import secrets
import time
from collections import OrderedDict
from dataclasses import asdict, dataclass
from pathlib import Path

from .errors import ServiceError

PREFIX = "cvp_"
SCOPES = ("inspect", "admin")


@dataclass(frozen=True)
class Key:
    """A caller: name, SHA-256 of the key as hex, what it may do, and its own rate (requests a second, 0 as for all)."""

    name: str
    sha256: str
    scopes: tuple[str, ...] = ("inspect",)
    rate: float = 0.0


def add(path: Path, name: str, scopes: tuple[str, ...] = ("inspect",), rate: float = 0.0) -> str:
    """Make a key, store its hash, return the key: the only time that anybody sees it. Raises ValueError."""
    if not name or not name.isprintable() or len(name) > 64:
        raise ValueError("a key's name has 1 to 64 printable characters")
    if unknown := set(scopes) - set(SCOPES):
        raise ValueError(f"unknown scope {', '.join(sorted(unknown))}; there are {', '.join(SCOPES)}")
    if path.exists() and any(key.name == name for key in read(path)):
        raise ValueError(f"there is a key named {name!r} already; remove its line first")
    secret = PREFIX + secrets.token_urlsafe(32)
    key = Key(name, hashlib.sha256(secret.encode()).hexdigest(), tuple(scopes), rate)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(json.dumps(asdict(key)) + "\n")
    return secret


def read(path: Path) -> list[Key]:
    """The keys of a file. Raises ValueError that names the line."""
    keys = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            document = json.loads(line)
            key = Key(**{**document, "scopes": tuple(document.get("scopes", ("inspect",)))})
        except (ValueError, TypeError):
            raise ValueError(f"line {number} of the key file is not a key") from None
        keys.append(key)
    return keys


class Keys:
    """Keys of a file, read again when it changes. Without a file everybody is let in, with every scope."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._next = 0.0
        self._keys: list[Key] = []
        if path is not None:
            self._refresh()

    @property
    def open(self) -> bool:
        return self._path is None

    def _refresh(self) -> None:
        assert self._path is not None
        found = self._path.stat()
        stamp = (found.st_mtime_ns, found.st_size)
        if stamp != self._stamp:
            self._keys, self._stamp = read(self._path), stamp

    def identify(self, headers: dict[bytes, bytes], scope: str = "inspect") -> Key | None:
        """Who asks; None where no keys are set. Raises ServiceError (unauthorized, forbidden)."""
        if self._path is None:
            return None
        now = time.monotonic()
        if now >= self._next:
            self._next = now + 1.0
            with contextlib.suppress(OSError, ValueError):  # half-written: what was read before still holds
                self._refresh()
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
