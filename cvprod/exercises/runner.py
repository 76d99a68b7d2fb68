"""Run a notebook's cells one by one, whatever they do.

nbgrader interrupts a cell that takes too long; a cell that swallows the interrupt, or ends the kernel, then takes the
rest of the notebook with it. Here such a cell costs only itself: the kernel is killed, a new one replays the cells
that worked, and the run goes on. Every kernel has a fresh folder, where no earlier cell can have left a trap.
"""

from __future__ import annotations

import os
import queue
import secrets
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import nbformat
import psutil
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager
from nbformat.v4 import new_output, output_from_msg

from cvprod.exercises import guard
from cvprod.exercises.course import CELL_SECONDS, COURSE, NOTEBOOK_SECONDS, ExerciseError
from cvprod.exercises.sandbox import MEMORY_BYTES, Sandbox
from cvprod.repo import ROOT

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


_PRIVATE = (
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "CREDENTIAL",
    "API_KEY",
    "OVERLAY",
)  # in names of variables that no student needs


class Interrupted(BaseException):
    """The grading was told to stop; what this notebook had is not its mark."""


class _Stopped(Exception):
    """The kernel was killed, or died, in the middle of a cell; or there is none that could run it."""


def failure(name: str, message: str) -> nbformat.NotebookNode:
    """Return the error output that a failed cell carries."""
    return new_output("error", ename=name, evalue=message, traceback=[f"{name}: {message}"])


class Runner:
    """A kernel in an empty folder of its own, both replaced when a cell kills or hangs it. Use it in ``with``.

    ``hidden`` names folders that look empty to it, beside those of the course's answers. ``stop`` ends it from another
    thread, with Interrupted.
    """

    def __init__(
        self,
        cell_seconds: float = CELL_SECONDS,
        notebook_seconds: float = NOTEBOOK_SECONDS,
        *,
        memory_bytes: int = MEMORY_BYTES,
        course: Path = COURSE,
        hidden: Sequence[Path] = (),
        stop: threading.Event | None = None,
    ):
        self.cell_seconds, self.notebook_seconds = cell_seconds, notebook_seconds
        self.touched: list[str] = []  # what of the course its code tried to read or write
        read_only = (ROOT, Path(sys.prefix), *guard.kept(course))
        self._sandbox = Sandbox((*guard.secrets(course), *hidden), read_only, memory_bytes)
        self._watched = tuple(tuple(str(p.resolve()) for p in ps) for ps in (guard.secrets(course), guard.kept(course)))
        self._stop = stop or threading.Event()
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
        self._folder = Path(tempfile.mkdtemp(dir=_folders()))
        for name in ("work", "tmp", "site"):
            (self._folder / name).mkdir()
        (self._folder / "owner").write_text(str(os.getpid()))
        note = self._folder / "touched"
        note.touch()
        self._note = note.open()  # stays readable when a cell removes the file
        # No kernel folders: the native kernel, hence this interpreter, and nobody's start-up files or history.
        # Files in place of ports: they work where there is no network, and no other kernel can reach them.
        sockets = {"transport": "ipc", "ip": str(self._folder / "k")} if os.name == "posix" else {}
        self._manager = _Manager(
            kernel_spec_manager=KernelSpecManager(kernel_dirs=[]),
            connection_file=str(self._folder / "kernel.json"),
            **sockets,
        )
        self._manager.prefix = self._sandbox.command(self._folder)
        self._manager.start_kernel(
            cwd=str(self._folder / "work"),
            env=self._environment(),
            extra_arguments=["--HistoryManager.hist_file=:memory:"],
        )
        self._client = self._manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=120)
        self._execute(f"{guard.WITNESS}\n_witness({self._watched!r}, {str(note)!r})\ndel _witness", [])
        self._execute(_PRELUDE, [])

    def _environment(self) -> dict[str, str]:
        """The grader's own, less what is private; what a notebook installs or leaves goes with its folder."""
        kept = {name: value for name, value in os.environ.items() if not any(p in name.upper() for p in _PRIVATE)}
        site = str(self._folder / "site")
        return {
            **kept,
            "IPYTHONDIR": str(self._folder / ".ipython"),
            "MPLBACKEND": "agg",
            "TMPDIR": str(self._folder / "tmp"),
            "PIP_TARGET": site,
            "PYTHONPATH": os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), site])),
        }

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
            _kill_orphans(str(self._folder / ".ipython"))
            with suppress(Exception), self._note as note:
                self.touched += [line for line in note.read().splitlines() if line not in self.touched]
            shutil.rmtree(self._folder, ignore_errors=True)
        self._manager = self._client = self._folder = None

    def _cpu_seconds(self) -> float:
        """CPU seconds that the kernel has used; 0 once it is dead, which is seen elsewhere."""
        try:
            times = psutil.Process(self._manager.provisioner.pid).cpu_times()
        except (psutil.Error, TypeError):
            return 0.0
        return times.user + times.system

    def _memory_bytes(self) -> int:
        """Resident bytes of the kernel and its children."""
        total = 0
        with suppress(psutil.Error, TypeError):
            kernel = psutil.Process(self._manager.provisioner.pid)
            for process in (kernel, *kernel.children(recursive=True)):
                with suppress(psutil.Error):
                    total += process.memory_info().rss
        return total

    def _execute(self, source: str, outputs: list, expressions: dict[str, str] | None = None) -> dict:
        """Run ``source``, appending its outputs; return the kernel's reply with the values of the ``expressions``.

        Raises _Stopped at the time limit or when the kernel dies, and anything for messages that are no such.
        """
        began, began_cpu, looked = time.monotonic(), self._cpu_seconds(), 0.0
        message_id = self._client.execute(source, user_expressions=expressions, allow_stdin=False, stop_on_error=False)
        kept, idle, reply = 0, False, None
        while not (idle and reply):
            now = time.monotonic()
            if self._stop.is_set():
                raise Interrupted
            if now > self._deadline:
                raise _Stopped(f"stopped: the notebook's {self.notebook_seconds:g} s were used up")
            if now > looked + 0.5:
                looked, spent = now, max(self._cpu_seconds() - began_cpu, (now - began) / WALL_FACTOR)
                if spent > self.cell_seconds:
                    raise _Stopped(f"stopped at the limit of {self.cell_seconds:g} s: an endless loop, or far too slow")
                if self._memory_bytes() > self._sandbox.memory_bytes:
                    limit = self._sandbox.memory_bytes / 2**20
                    raise _Stopped(f"stopped at the memory limit of {limit:g} MiB")
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


class _Manager(KernelManager):
    """A kernel manager with something in front of the kernel's command."""

    prefix: tuple[str, ...] | list[str] = ()

    def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
        return [*self.prefix, *super().format_kernel_cmd(extra_arguments)]


def _folders() -> Path:
    """Where this user's kernels have their folders: one place, so that a kernel can be kept from the others'."""
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    place = Path(tempfile.gettempdir()).resolve() / f"cvprod-grade-{user}"
    place.mkdir(mode=0o700, exist_ok=True)
    if hasattr(os, "getuid") and place.lstat().st_uid != user:
        raise ExerciseError(f"{place}: belongs to somebody else; name another place with TMPDIR")
    return place


def sweep() -> int:
    """End the kernels that a killed grader left, remove their folders; return their number."""
    swept = 0
    for folder in _folders().iterdir():
        with suppress(OSError, ValueError):
            owner = int((folder / "owner").read_text())
            if not psutil.pid_exists(owner):
                _kill_orphans(str(folder / ".ipython"))
                shutil.rmtree(folder, ignore_errors=True)
                swept += 1
    return swept


def _kill_orphans(home: str) -> None:
    """End what a kernel started and is no longer its child: such a process still has its environment."""
    killed = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get("IPYTHONDIR") == home:
                process.kill()
                killed.append(process)
    until = time.monotonic() + KILL_SECONDS
    while any(map(_runs, killed)) and time.monotonic() < until:
        time.sleep(0.005)


def _runs(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _name(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".removesuffix(": ")
