"""Judge once more, alone, what measures time and has failed beside others: a plugin for pytest, and a command.

Chapters claim things about time, and are tested on machines that other people use too: a neighbour who takes both
cores for a second spoils what holds in every other second. Tests of real servers measure none, but wait for several
programs to start, die or notice, each with a limit that a busy machine can pass. So where a chapter, a test that is
marked ``alone`` or one in `PROGRAMS` has failed in ``pytest -p cvprod.book.pytest_again``, or the process of any test
has died (for want of memory, say), ``python -m cvprod.book.pytest_again`` runs that chapter from its first cell, or
that test, once more with nothing beside it, and its result counts. What is wrong fails twice. No other test has a
second chance, nor has a chapter whose cell raised anything but an AssertionError (or whose kernel never answered), nor
have many failures at once: those are no neighbour's doing.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cvprod.book.build import PYTEST

KEY = "cvprod/again"
#: More chapters and tests than this do not fail for a neighbour's sake.
MOST = 3
#: Where tests start real programs and wait for them.
PROGRAMS = ("tests/cvprod/serving/", "tests/cvprod/stack/", "tests/deploy/", "tests/exercises/test_exercise_class.py",
            "tests/exercises/test_exercise_notebooks.py", "tests/site/", "tests/terraform/")  # fmt: skip
#: What a chapter's report says where a claim failed; and where its kernel found a port taken, which it chooses a moment
#: before it opens it, while tests beside it open theirs.
CLAIM, KERNEL = "AssertionError", "Kernel didn't respond"
#: What pytest-xdist says of a test whose process is gone.
DIED = "crashed while running"


class Failures:
    """The plugin, in the process that hears of every result: what failed, and whether all of that measures time."""

    def __init__(self) -> None:
        self.timed: list[str] = []  # chapters, as paths, and tests, as node ids
        self.others = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a failure."""
        if not report.failed:
            return
        path = report.nodeid.split("::", 1)[0]
        if path in self.timed:
            return  # a cell after the one whose claim failed may miss what that one would have made
        said = str(report.longrepr)
        if path.endswith(".ipynb") and (CLAIM in said or KERNEL in said or DIED in said):
            self.timed.append(path)
        elif report.when == "setup" and path.startswith(PROGRAMS):
            self.timed.append(path)  # its tests share what did not start: one failure, and not one for each of them
        elif "alone" in report.keywords or DIED in said or path.startswith(PROGRAMS):
            self.timed.append(report.nodeid)
        else:
            self.others = True

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Write down what deserves another look: nothing after an interruption, or where anything else failed."""
        only = exitstatus == pytest.ExitCode.TESTS_FAILED and not self.others and len(self.timed) <= MOST
        session.config.cache.set(KEY, self.timed if only else [])


def pytest_configure(config: pytest.Config) -> None:
    """Listen where results arrive; pytest-xdist's other processes have only their own."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Failures())


def record(root: Path) -> Path:
    """The file, in pytest's cache, in which a run below `root` writes it down."""
    return root / ".pytest_cache/v" / KEY


def noted(root: Path) -> list[str]:
    """What the last run below `root` wrote down; nothing where none has."""
    try:
        found = json.loads(record(root).read_text())
    except (OSError, ValueError):
        return []
    return found if isinstance(found, list) else []


def main(root: Path | None = None) -> int:
    """Run what the last run wrote down; returns the exit status: not 0 where there is nothing to run."""
    root = root or Path.cwd()
    names = noted(root)
    record(root).unlink(missing_ok=True)  # a later run that ends before it could write must not find it
    if not names:
        return 1
    print(f"\nFailed beside other tests, so once more with nothing beside it: {', '.join(names)}", flush=True)
    return subprocess.run([*PYTEST, *names], cwd=root, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
