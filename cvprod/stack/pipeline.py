"""Processes of the retraining pipeline, started and killed at will: what chapter 10 and the tests do to it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cvprod.stack.program import Program

#: One thread each: a forked process has none of its parent's others, and a head of 679 numbers needs no more.
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}


@dataclass(frozen=True)
class Ended:
    """How a process ended: `status` is its exit status, or minus the number of the signal that killed it."""

    status: int
    said: str

    @property
    def killed(self) -> bool:
        return self.status == -9


class Pipelines(Program):
    """`python -m cvprod.mlops serve`: imports Dagster and MLflow once, then forks a process for each run.

    A context manager. Starting takes some ten seconds of imports, during which the caller can do something else: the
    first `run` waits for it.
    """

    def __init__(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="cvprod-pipelines-")
        self._count = 0
        self._told = False
        super().__init__(
            "pipelines", [sys.executable, "-m", "cvprod.mlops", "serve"], lambda: True, env=ONE_THREAD,
            folder=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip

    def start(self, folder: Path, event: str, *, keys: bool = True, lock: bool = True, kill: str = "") -> Running:
        """Start a process that works on an event of a site.

        kill: "STEP:before" or "STEP:after": where SIGKILL meets it, before or after the effect of that step.
        """
        self._count += 1
        log = Path(self.folder.name) / f"run-{self._count}.log"
        words = ["run", str(folder), event, *["--no-keys"] * (not keys), *["--no-lock"] * (not lock)]
        return Running(self, self._ask({"run": words, "kill": kill, "log": str(log)})["pid"], log)

    def run(self, folder: Path, event: str, **options: object) -> Ended:
        """`start`, and wait for its end."""
        return self.start(folder, event, **options).wait()

    def _ask(self, question: dict) -> dict:
        if not self._told:
            self._answer()  # "ready"
            self._told = True
        self.process.stdin.write(json.dumps(question) + "\n")
        return self._answer()

    def _answer(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"pipelines ended: {self.log.read_text(errors='replace').strip()[-800:]}")
        return json.loads(line)


@dataclass(frozen=True)
class Running:
    """A process that works on an event."""

    pipelines: Pipelines
    pid: int
    log: Path

    def wait(self) -> Ended:
        """Wait for its end, however it comes."""
        status = self.pipelines._ask({"wait": self.pid})["status"]
        return Ended(status, self.log.read_text(errors="replace") if self.log.exists() else "")
