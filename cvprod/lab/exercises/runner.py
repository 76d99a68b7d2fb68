"""Run a notebook's cells one by one, whatever they do.

nbgrader interrupts a cell that takes too long; a cell that swallows the interrupt, or ends the kernel, then takes the
rest of the notebook with it. Here such a cell costs only itself: the kernel is killed, a new one replays the cells
that worked, and the run goes on.
"""

from __future__ import annotations

import os
import queue
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import nbformat
import psutil
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager
from nbformat.v4 import new_output, output_from_msg

from cvprod.lab.exercises.course import CELL_SECONDS, NOTEBOOK_SECONDS

WALL_FACTOR = (
    5  # the limit counts the kernel's own CPU seconds, so a busy machine fails nobody; one that sleeps ends too
)
KEPT_CHARACTERS = 20_000  # of one cell's output; a flood is drained, not stored
# exit() in a cell would end the kernel a moment after the cell has "succeeded".
_PRELUDE = "get_ipython().ask_exit = lambda: None"


class _Stopped(Exception):
    """The kernel was killed, or died, in the middle of a cell."""


def failure(name: str, message: str) -> nbformat.NotebookNode:
    """Return the error output that a failed cell carries."""
    return new_output("error", ename=name, evalue=message, traceback=[f"{name}: {message}"])


class Runner:
    """A kernel in an empty folder of its own, replaced whenever a cell kills or hangs it. Use it in ``with``."""

    def __init__(self, cell_seconds: float = CELL_SECONDS, notebook_seconds: float = NOTEBOOK_SECONDS):
        self.cell_seconds, self.notebook_seconds = cell_seconds, notebook_seconds
        self._done: list[str] = []
        self._manager = self._client = None

    def __enter__(self) -> Runner:
        self._folder = tempfile.TemporaryDirectory(prefix="cvprod-grade-", ignore_cleanup_errors=True)
        self._deadline = time.monotonic() + self.notebook_seconds
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_) -> None:
        self._kill()
        self._folder.cleanup()

    def run(self, cell: nbformat.NotebookNode, *, replay: bool = True) -> None:
        """Run one code cell and put its outputs, an error among them if it failed, into the cell.

        ``replay`` says whether later cells may need what this one defines (not
        a test's, whose names are its own).
        """
        cell.outputs = []
        try:
            if self._client is None:
                self._resume()
            self._execute(cell.source, cell.outputs)
        except _Stopped as stop:
            self._kill()
            cell.outputs.append(failure("Stopped", str(stop)))
        else:
            if replay:
                self._done.append(cell.source)

    def _start(self) -> None:
        # No kernel folders: the native kernel, hence this interpreter, and nobody's start-up files or history.
        home = str(Path(self._folder.name) / ".ipython")
        self._manager = KernelManager(kernel_spec_manager=KernelSpecManager(kernel_dirs=[]))
        self._manager.start_kernel(
            cwd=self._folder.name,
            env={**os.environ, "IPYTHONDIR": home, "MPLBACKEND": "agg"},
            extra_arguments=["--HistoryManager.hist_file=:memory:"],
        )
        self._client = self._manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=120)
        self._execute(_PRELUDE, [])

    def _resume(self) -> None:
        """Start a new kernel and run again, unseen, what had worked before the last one was stopped."""
        if time.monotonic() > self._deadline:
            raise _Stopped(f"not run: the notebook's {self.notebook_seconds:g} s were used up")
        self._start()
        try:
            for source in self._done:
                self._execute(source, [])
        except _Stopped as stop:
            raise _Stopped(f"not run: the cells before it could not be run again ({stop})") from None

    def _kill(self) -> None:
        if self._client is not None:
            self._client.stop_channels()
        if self._manager is not None:
            with suppress(Exception):  # it may be dead already
                self._manager.shutdown_kernel(now=True)
            self._manager.cleanup_resources()
        self._manager = self._client = None

    def _cpu_seconds(self) -> float:
        """CPU seconds that the kernel has used; 0 once it is dead, which is seen elsewhere."""
        try:
            times = psutil.Process(self._manager.provisioner.pid).cpu_times()
        except (psutil.Error, TypeError):
            return 0.0
        return times.user + times.system

    def _execute(self, source: str, outputs: list) -> None:
        """Run ``source``, appending its outputs; raises _Stopped at the time limit or when the kernel dies."""
        began, began_cpu, looked = time.monotonic(), self._cpu_seconds(), 0.0
        message_id = self._client.execute(source, allow_stdin=False, stop_on_error=False)
        kept, idle, reply = 0, False, None
        while not (idle and reply):
            now = time.monotonic()
            if now > self._deadline:
                raise _Stopped(f"stopped: the notebook's {self.notebook_seconds:g} s were used up")
            if now > looked + 0.5:
                looked, spent = now, max(self._cpu_seconds() - began_cpu, (now - began) / WALL_FACTOR)
                if spent > self.cell_seconds:
                    raise _Stopped(f"stopped at the limit of {self.cell_seconds:g} s: an endless loop, or far too slow")
            try:
                message = (
                    self._client.get_iopub_msg(timeout=0.05) if not idle else self._client.get_shell_msg(timeout=0.5)
                )
            except queue.Empty:
                if not self._manager.is_alive():
                    raise _Stopped("the kernel died in this cell (os._exit, or out of memory?)") from None
                continue
            if message["parent_header"].get("msg_id") != message_id:
                continue
            kind = message["msg_type"]
            if kind == "execute_reply":
                reply = message["content"]
            elif kind == "status":
                idle = message["content"]["execution_state"] == "idle"
            elif kind in ("stream", "display_data", "execute_result", "error"):
                kept += len(str(message["content"]))
                if kept <= KEPT_CHARACTERS or kind == "error":
                    outputs.append(output_from_msg(message))
        if reply["status"] != "ok" and not any(output.output_type == "error" for output in outputs):
            outputs.append(failure(reply.get("ename", "Aborted"), reply.get("evalue", "the cell did not run")))
