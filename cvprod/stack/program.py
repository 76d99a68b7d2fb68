"""One real program, started for a while: start, wait until it is ready, keep its log, stop it whatever happens."""

from __future__ import annotations

import atexit
import contextlib
import math
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Self


def free_port() -> int:
    """A TCP port of the loopback that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(condition: Callable[[], object], seconds: float, *, pause: float = 0.05) -> bool:
    """Ask `condition` again and again, for `seconds` at most; returns whether it came true."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(pause)
    return True


#: Reads until the Python at the other end is gone, by whatever death, and stops the program ($1), within $2 fifths of
#: a second, and its group. A shell, because it starts in a millisecond.
_GUARD = """
read -r _
kill -s TERM "$1"
while kill -0 "$1" && [ "$2" -gt 0 ]; do sleep 0.2; set -- "$1" $(($2 - 1)); done
kill -s KILL -- "-$1"
"""


class Program:
    """A program in a process group of its own, as a context manager.

    `folder` is a temporary folder that goes with it, `log` the file that its standard error goes to (with its standard
    output, unless the caller reads that). What is still running when the interpreter ends is stopped then, also when
    the interpreter is killed.

    Args:
        name: what errors call it.
        command: its words.
        ready: whether it answers; asked until it does. It gets no arguments and may raise OSError for "not yet".
        env: variables beside those of this process.
        patience: seconds within which it must be ready.
        grace: seconds that it gets to end after SIGTERM before it is killed.
        folder: an existing TemporaryDirectory with its configuration; a new one by default.
        cores: numbers of the cores that it and all its threads and children run on, where processes can be bound; all
            that this process may use by default.
        options: more for subprocess.Popen, such as stdout or cwd.

    Raises:
        RuntimeError: it ended before it was ready, or was not ready in time; the message ends with its log.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[object],
        ready: Callable[[], object],
        *,
        env: Mapping[str, str] | None = None,
        patience: float = 30.0,
        grace: float = 10.0,
        folder: tempfile.TemporaryDirectory | None = None,
        cores: Collection[int] = (),
        **options: object,
    ) -> None:
        self.name, self.grace = name, grace
        self.folder = folder or tempfile.TemporaryDirectory(prefix=f"cvprod-{name}-")
        self.log = Path(self.folder.name) / f"{name}.log"
        with self.log.open("wb") as out:
            options = {"stdout": out, "stderr": out} | options
            try:
                self.process = subprocess.Popen(
                    [str(word) for word in command],
                    env={**os.environ, **(env or {})},
                    start_new_session=True,
                    **options,
                )
            except OSError as error:
                self.folder.cleanup()
                raise RuntimeError(f"{name} cannot be started: {error}") from error
        if cores and hasattr(os, "sched_setaffinity"):
            with contextlib.suppress(ProcessLookupError):  # it ended at once; below is said why
                os.sched_setaffinity(self.process.pid, cores)  # it has no threads or children yet; they inherit it
        self._guard = subprocess.Popen(
            ["sh", "-c", _GUARD, "guard", str(self.process.pid), str(math.ceil(grace * 5))],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        atexit.register(self.stop)  # a notebook that fails half-way leaves nothing running
        if not until(lambda: self.process.poll() is not None or self._answers(ready), patience) or self.ended:
            said = self.log.read_text(errors="replace").strip()[-800:]
            state = f"ended with {self.process.poll()}" if self.ended else f"was not ready within {patience:g} s"
            self.stop()
            raise RuntimeError(f"{name} {state}: {said or 'it said nothing'}")

    @staticmethod
    def _answers(ready: Callable[[], object]) -> bool:
        try:
            return bool(ready())
        except OSError:
            return False

    @property
    def ended(self) -> bool:
        """Whether the process is over."""
        return self.process.poll() is not None

    def stop(self) -> int:
        """End it, and what it started; returns its exit status. A second call does nothing more."""
        atexit.unregister(self.stop)
        if not self.ended:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(self.grace)
        except subprocess.TimeoutExpired:
            self.process.kill()
        status = self.process.wait()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)  # children that outlived it
        self._guard.kill()
        self._guard.wait()
        for pipe in (self.process.stdin, self.process.stdout, self._guard.stdin):
            if pipe is not None:
                pipe.close()
        self.folder.cleanup()
        return status

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
