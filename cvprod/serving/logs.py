"""Structured logs: one JSON object a line on standard error, and never a line that stops the service.

A line holds the request id, route, status, times and the model's version; it never holds a picture, a file name, a
path, a key or an exception's text. A pipe that nobody reads or a disk that is full loses lines, which are counted, not
requests.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import stat
import sys
import time
from pathlib import Path
from typing import Any

NAME = "cvprod.serving"
log = logging.getLogger(NAME)
_KEPT = (
    "event",
    "route",
    "code",
    "ms",
    "request_id",
    "trace_id",
    "model",
    "images",
    "count",
    "problem",
    "worker",
    "reason",
    "detail",
    "port",
    "key",
)


class _Format(logging.Formatter):
    def __init__(self, text: bool) -> None:
        super().__init__()
        self._text = text

    def format(self, record: logging.LogRecord) -> str:
        now = time.time()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z"
        fields: dict[str, Any] = {"time": stamp, "level": record.levelname.lower(), "pid": os.getpid()}
        fields |= {name: record.__dict__[name] for name in _KEPT if name in record.__dict__}
        fields.setdefault("event", record.getMessage())
        if record.exc_info and record.exc_info[0]:
            # The kind of error and where in our code: its text could hold anything that a caller has sent.
            trace, place = record.exc_info[2], ""
            while trace:
                code = trace.tb_frame.f_code
                place = f"{Path(code.co_filename).name}:{trace.tb_lineno}"
                trace = trace.tb_next
            fields["error"] = f"{record.exc_info[0].__name__} at {place}"
        if self._text:
            return " ".join(f"{name}={value}" for name, value in fields.items())
        return json.dumps(fields, default=str)


def _unblocked(descriptor: int) -> int:
    """The same pipe or terminal, opened once more so that a write never waits for whoever reads it.

    To change the flags of the descriptor itself would change them for the program that has started us, too.
    """
    kind = os.fstat(descriptor).st_mode
    if stat.S_ISFIFO(kind) or stat.S_ISCHR(kind):
        with contextlib.suppress(OSError):  # not ours to open, or no /proc: then it may wait
            return os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    return descriptor


class _Handler(logging.Handler):
    """Writes without ever blocking or raising; lost lines are counted."""

    def __init__(self, stream: Any = None) -> None:
        super().__init__()
        self.lost = 0
        self._descriptor = _unblocked((stream or sys.stderr).fileno())

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = (self.format(record) + "\n").encode()
            if os.write(self._descriptor, line) != len(line):
                self.lost += 1
        except (OSError, ValueError):
            self.lost += 1


def configure(style: str = "json", level: str = "info") -> _Handler:
    """Send the service's log to standard error; the log of the libraries only from warnings on."""
    handler = _Handler()
    handler.setFormatter(_Format(style == "text"))
    log.handlers[:] = [handler]
    log.setLevel(level.upper())
    log.propagate = False
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "asyncio"):
        library = logging.getLogger(name)
        library.handlers[:] = [handler]
        library.setLevel(logging.ERROR)
        library.propagate = False
    return handler
