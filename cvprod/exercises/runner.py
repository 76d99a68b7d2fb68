"""Run a notebook's cells one by one, whatever they do.

nbgrader interrupts a cell that takes too long; a cell that swallows the interrupt, or ends the kernel, then takes the
rest of the notebook with it. Here such a cell costs only itself: the kernel is killed, a new one replays the cells
that worked, and the run goes on. Every kernel has a fresh folder, where no earlier cell can have left a trap.
"""

from __future__ import annotations

import os
import queue
import secrets
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import nbformat
import psutil
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager
from nbformat.v4 import new_output, output_from_msg

from cvprod.exercises.course import CELL_SECONDS, NOTEBOOK_SECONDS

WALL_FACTOR = (
    5  # the limit counts the kernel's own CPU seconds, so a busy machine fails nobody; one that sleeps ends too
)
KILL_SECONDS = 5  # a killed process is gone at once, but for a busy machine, or one that waits for a disk
KEPT_CHARACTERS = 20_000  # of one cell's output; a flood is drained, not stored
# exit() in a cell would end the kernel a moment after the cell has "succeeded".
_PRELUDE = "get_ipython().ask_exit = lambda: None"
# Forgets what a notebook taught IPython to do with each cell's text. An expression, because no transformer sees those.
_RESET = """(
    lambda shell, inputs: (
        setattr(shell, 'input_transformer_manager', inputs.TransformerManager()),
        shell.input_transformers_post.clear(),
        shell.ast_transformers.clear(),
    )
)(__import__('IPython').get_ipython(), __import__('IPython.core.inputtransformer2', fromlist=['']))"""


class _Stopped(Exception):
    """The kernel was killed, or died, in the middle of a cell; or there is none that could run it."""


def failure(name: str, message: str) -> nbformat.NotebookNode:
    """Return the error output that a failed cell carries."""
    return new_output("error", ename=name, evalue=message, traceback=[f"{name}: {message}"])


class Runner:
    """A kernel in an empty folder of its own, both replaced when a cell kills or hangs it. Use it in ``with``."""

    def __init__(self, cell_seconds: float = CELL_SECONDS, notebook_seconds: float = NOTEBOOK_SECONDS):
        self.cell_seconds, self.notebook_seconds = cell_seconds, notebook_seconds
        self._done: list[str] = []
        self._manager = self._client = self._folder = None

    def __enter__(self) -> Runner:
        self._deadline = time.monotonic() + self.notebook_seconds
        try:
            self._start()
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(self, *_) -> None:
        self._kill()

    def run(self, cell: nbformat.NotebookNode, *, test: bool = False) -> None:
        """Run one code cell and put its outputs, an error among them if it failed, into the cell. Never raises.

        A ``test`` counts only if it was run to its end as it is written. Its names are its own, so a new kernel
        does not run it again.
        """
        cell.outputs = []
        try:
            if self._client is None:
                self._resume()
            if test:
                self._run_test(cell)
            else:
                self._execute(cell.source, cell.outputs)
        except Exception as error:  # whatever a cell sent in place of proper messages, too
            self._kill()
            stop = error if isinstance(error, _Stopped) else f"stopped: its kernel could not go on ({_name(error)})"
            cell.outputs.append(failure("Stopped", str(stop)))
        else:
            if not test:
                self._done.append(cell.source)

    def _run_test(self, cell: nbformat.NotebookNode) -> None:
        """Run the cell's text and nothing else; a mark at its end shows that all of it was run."""
        name, value = f"_end_{secrets.token_hex(8)}", secrets.randbits(62)
        reset = self._execute("", [], {"reset": _RESET}).get("user_expressions", {})
        reply = self._execute(f"{cell.source}\n{name} = {value}", cell.outputs, {"end": name})
        if any(output.output_type == "error" for output in cell.outputs):
            return
        end = reply["user_expressions"]["end"].get("data", {}).get("text/plain")
        if reset.get("reset", {}).get("status") != "ok" or end != str(value):
            cell.outputs.append(failure("Stopped", "the notebook changed how the test was run"))

    def _start(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="cvprod-grade-", ignore_cleanup_errors=True)
        folder = Path(self._folder.name)
        (folder / "work").mkdir()
        # No kernel folders: the native kernel, hence this interpreter, and nobody's start-up files or history.
        self._manager = KernelManager(
            kernel_spec_manager=KernelSpecManager(kernel_dirs=[]), connection_file=str(folder / "kernel.json")
        )
        self._manager.start_kernel(
            cwd=str(folder / "work"),
            env={**os.environ, "IPYTHONDIR": str(folder / ".ipython"), "MPLBACKEND": "agg"},
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
        try:
            self._start()
            for source in self._done:
                self._execute(source, [])
        except Exception as error:
            stop = error if isinstance(error, _Stopped) else _name(error)
            raise _Stopped(f"not run: the cells before it could not be run again ({stop})") from None

    def _kill(self) -> None:
        """End the kernel and every process that it left, and remove its folder."""
        with suppress(Exception):  # here and below: it may be dead already
            for process in psutil.Process(self._manager.provisioner.pid).children(recursive=True):
                with suppress(psutil.Error):
                    process.kill()
        with suppress(Exception):
            self._client.stop_channels()
        with suppress(Exception):
            self._manager.shutdown_kernel(now=True)
        with suppress(Exception):
            self._manager.cleanup_resources()
        if self._folder is not None:
            self._kill_orphans(str(Path(self._folder.name) / ".ipython"))
            with suppress(Exception):
                self._folder.cleanup()
        self._manager = self._client = self._folder = None

    @staticmethod
    def _kill_orphans(home: str) -> None:
        """End what the kernel started and is no longer its child: such a process still has its environment."""
        killed = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.environ().get("IPYTHONDIR") == home:
                    process.kill()
                    killed.append(process)
        until = time.monotonic() + KILL_SECONDS
        while any(map(_runs, killed)) and time.monotonic() < until:
            time.sleep(0.005)

    def _cpu_seconds(self) -> float:
        """CPU seconds that the kernel has used; 0 once it is dead, which is seen elsewhere."""
        try:
            times = psutil.Process(self._manager.provisioner.pid).cpu_times()
        except (psutil.Error, TypeError):
            return 0.0
        return times.user + times.system

    def _execute(self, source: str, outputs: list, expressions: dict[str, str] | None = None) -> dict:
        """Run ``source``, appending its outputs; return the kernel's reply with the values of the ``expressions``.

        Raises _Stopped at the time limit or when the kernel dies, and anything for messages that are no such.
        """
        began, began_cpu, looked = time.monotonic(), self._cpu_seconds(), 0.0
        message_id = self._client.execute(source, user_expressions=expressions, allow_stdin=False, stop_on_error=False)
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
                    raise _Stopped(
                        "the kernel died in this cell (os._exit or out of memory, here or by an earlier cell)"
                    ) from None
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
        return reply


def _runs(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _name(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".removesuffix(": ")
