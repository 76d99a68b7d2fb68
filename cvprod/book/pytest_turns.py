"""Run tests in turns: what measures time has the machine to itself, the rest runs side by side. A plugin for pytest.

``pytest -p cvprod.book.pytest_turns -n auto notebooks tests`` starts one process more than there are cores
(pytest-xdist), because tests of servers mostly wait. A chapter's cell that measures time, and a test that is marked
``alone``, run while every other process waits. All others run beside each other, so PyTorch is told to use one thread,
and OpenMP not to spin for long where a test asks for more. Without ``-n`` there is one process, and there are no turns.
At the end stands where the time went.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pytest
from nbval.plugin import IPyNbCell
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

from cvprod.book import notebooks
from cvprod.book.build import SPIN
from cvprod.files import locked

NOTEBOOK, LEDGER = ".ipynb", "notebooks/ledger.ipynb"
#: The unit of work that is more than a file: what needs all chapters.
SITE = "tests/site"
THREADS = "OMP_NUM_THREADS"
#: Cells between two that measure time keep the machine, if they are few and take no longer than this [s].
FEW, QUICK = 3, 1.0
#: How long something may take: a chapter's cell, or a test of the whole site; another test; a brief one.
SLOW, LONG, BRIEF = "slow", "long", "brief"
#: A test is taken to be brief unless the one before it in its file took longer than this [s].
LONGEST_BRIEF = 2.0


class Room:
    """A lock between processes that many can share and one can have alone (a readers-writer lock over two files).

    Who wants it alone stands in the door until the others have left, so that those who share it cannot keep it busy
    for ever. The operating system opens the lock when its holder dies.

    Args:
        path: of the lock's files, the same in every process; ".door" and ".room" are added.
    """

    def __init__(self, path: Path) -> None:
        self._door, self._room = path.with_name(f"{path.name}.door"), path.with_name(f"{path.name}.room")

    @contextmanager
    def share(self) -> Iterator[None]:
        """Together with others that share, as soon as nobody has, or waits for, the lock alone."""
        with ExitStack() as room:
            with locked(self._door):
                room.enter_context(locked(self._room, shared=True))
            yield

    @contextmanager
    def alone(self) -> Iterator[Callable[[], None]]:
        """With nobody else, as soon as all have left. The block is given a function that lets the others in."""
        with ExitStack() as door:
            door.enter_context(locked(self._door))
            with locked(self._room) as share:

                def let_in() -> None:
                    share()  # first, while nobody can wait for the room: what stands at the door gets no turn between
                    door.close()

                yield let_in

    def remove(self) -> None:
        """Delete the lock's files."""
        self._door.unlink(missing_ok=True)
        self._room.unlink(missing_ok=True)


class Turns:
    """Who may run now. While something that wants to be alone waits, only those wait behind it that take as long as
    what it waits for.

    It waits for the slow ones first, and long and brief ones still go in; then for the long ones, and brief ones still
    go in; last for the brief ones.

    Args:
        path: of the files that the processes meet at, the same in each; their endings are added.
    """

    def __init__(self, path: Path) -> None:
        self._rooms = {kind: Room(path.with_name(f"{path.name}-{kind}")) for kind in (SLOW, LONG, BRIEF)}

    def share(self, kind: str) -> AbstractContextManager[None]:
        """Together with others that share. kind: how long it may take, SLOW, LONG or BRIEF."""
        return self._rooms[kind].share()

    @contextmanager
    def alone(self) -> Iterator[Callable[[], None]]:
        """With nobody else, as soon as all have left. The block is given a function that lets the others in."""
        with ExitStack() as stack:
            doors = [stack.enter_context(room.alone()) for room in self._rooms.values()]

            def let_in() -> None:
                for let_in_here in doors:
                    let_in_here()

            yield let_in

    def remove(self) -> None:
        """Delete the files."""
        for room in self._rooms.values():
            room.remove()


def wants_alone(item: pytest.Item | None) -> bool:
    """Whether an item is a cell that measures time, or a test marked ``alone``."""
    if isinstance(item, IPyNbCell):
        return notebooks.measures_time(item.cell)
    return item is not None and item.get_closest_marker("alone") is not None


def soon(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    """Whether one of the next few items, in the same file, wants the machine alone."""
    if nextitem is None:
        return False
    items = item.session.items
    first = items.index(nextitem)
    return any(wants_alone(later) for later in items[first : first + FEW + 1] if later.path == item.path)


class Worker:
    """The plugin in each process that runs tests."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self._turn = ExitStack()
        self._let_in: Callable[[], None] | None = None  # while this process has the machine to itself
        self._took: dict[Path, float] = {}  # seconds of the last test of each file
        self.seconds = {"alone": 0.0, "waited": 0.0}
        self._threads = os.environ.get(THREADS)
        self._limit("1")
        os.environ.setdefault(*SPIN)

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # outside of pytest-timeout: to wait is no test's fault
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None):
        """Wait for a turn, and keep it while what comes soon wants it too."""
        alone = wants_alone(item)
        # A chapter's kernel lives for many cells, and says itself how many threads it uses.
        self._limit(self._threads if alone or isinstance(item, IPyNbCell) else "1")
        if self._let_in is None:
            turn, asked = self.turns.alone() if alone else self.turns.share(self._kind(item)), time.monotonic()
            self._let_in = self._turn.enter_context(turn)
            self.seconds["waited"] += time.monotonic() - asked
        long = None if alone or self._let_in is None else threading.Timer(QUICK, self._share)
        if long:
            long.start()
        begun = time.monotonic()
        try:
            return (yield)
        finally:
            took = self._took[item.path] = time.monotonic() - begun
            self.seconds["alone"] += took if alone else 0.0
            if long:
                long.cancel()
                long.join()
            if self._let_in is None or not soon(item, nextitem):
                self._turn.close()
                self._let_in = None

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Tell the process that hands tests out where the time went."""
        session.config.workeroutput["turns"] = self.seconds

    def _kind(self, item: pytest.Item) -> str:
        if isinstance(item, IPyNbCell) or item.nodeid.startswith(f"{SITE}/"):
            return SLOW
        return BRIEF if self._took.get(item.path, 0.0) <= LONGEST_BRIEF else LONG

    def _share(self) -> None:
        """Let the others in."""
        self._let_in()
        self._let_in = None

    @staticmethod
    def _limit(threads: str | None) -> None:
        """Tell the processes that a test starts how many threads to use (None: as many as they like)."""
        if threads is None:
            os.environ.pop(THREADS, None)
        else:
            os.environ[THREADS] = threads


class ByFile(LoadScopeScheduling):
    """A file's tests run in one process, in their order; chapters are handed out one by one, and all tests of the site
    together.

    Chapters come first, in all processes but one, so that no core idles while the last of them runs. The site is
    rendered from what the chapters put out, and its tests take longest: they come right after the chapters, with the
    ledger, which shows what all of them measured.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.split("::", 1)[0]
        return SITE if path == LEDGER or path.startswith(f"{SITE}/") else path

    def mark_test_complete(self, node: WorkerController, item_index: int, duration: float = 0) -> None:
        """Give the process more to do, and also those that waited for chapters of another one."""
        super().mark_test_complete(node, item_index, duration)
        for other in self.nodes:
            if other is not node and self.workqueue:
                self._reschedule(other)

    def _elsewhere(self, node: WorkerController) -> int:
        """How many other processes have chapters that have not ended."""
        others = (work for other, work in self.assigned_work.items() if other is not node)
        return sum(
            any(_is_chapter(unit) and not all(cells.values()) for unit, cells in work.items()) for work in others
        )

    def _next(self, node: WorkerController) -> str | None:
        """The unit of work that this process may take on; it works in order, so its own chapters end before."""
        elsewhere, chapters_left = self._elsewhere(node), any(map(_is_chapter, self.workqueue))
        at_a_time = max(min(2, self.numnodes), self.numnodes - 1)

        def may(unit: str) -> bool:
            if unit == SITE:
                return not elsewhere and not chapters_left
            return not _is_chapter(unit) or elsewhere < at_a_time

        waiting = sorted(self.workqueue, key=lambda unit: unit != SITE)  # the site first, as soon as it may
        return next(filter(may, waiting), None)

    def _assign_work_unit(self, node: WorkerController) -> None:
        unit = self._next(node)
        if unit is not None:
            self.workqueue.move_to_end(unit, last=False)
            super()._assign_work_unit(node)

    def remove_node(self, node: WorkerController) -> str | None:
        """Take away a process that has ended or died, and hand out again what it left.

        Returns the test that it died in, or None. That test is not run again, nor are the cells after it: they would
        miss what the kernel that died with the process knew.
        """
        crashed = None
        for unit, cells in self.assigned_work.pop(node).items():
            left = [name for name, done in cells.items() if not done]
            if left and crashed is None:
                crashed = left[0]
                cells.update(dict.fromkeys(left if _is_chapter(crashed.split("::", 1)[0]) else left[:1], True))
            if not all(cells.values()):
                self.workqueue[unit] = cells
        for other in self.assigned_work:
            self._reschedule(other)
        return crashed

    def _reschedule(self, node: WorkerController) -> None:
        if node not in self.registered_collections:
            return  # it stands in for one that died, and is still collecting
        work = self.assigned_work.get(node, {})
        if node.shutting_down or not self.workqueue or self._next(node) is not None:
            super()._reschedule(node)
        elif any(map(_is_chapter, work)) and self._pending_of(work) < 2 and not self._one_ends():
            # A process runs its last test when it is given another or told to end. Of those that run chapters, and
            # would wait for each other, this one ends.
            node.shutdown()

    def _one_ends(self) -> bool:
        """Whether a process that was told to end still has something to run, after which the others are asked again."""
        return any(node.shutting_down and self._pending_of(work) for node, work in self.assigned_work.items())


def _is_chapter(unit: str) -> bool:
    return unit.endswith(NOTEBOOK)


class Clock:
    """The plugin in the process that hands tests out: where the time went, told at the end.

    Args:
        most: files that are listed.
    """

    def __init__(self, most: int = 15) -> None:
        self.most = most
        self.begun = time.monotonic()
        self.seconds: Counter[str] = Counter()
        self.turns: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add a test's, or a cell's, time to that of its file."""
        self.seconds[report.nodeid.split("::", 1)[0]] += report.duration

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: WorkerController, error: object) -> None:
        """Hear of a process how long it had the machine to itself, and how long it waited for a turn."""
        self.turns.update(getattr(node, "workeroutput", {}).get("turns", {}))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """List the slowest files."""
        if len(self.seconds) < 2:
            return
        terminalreporter.section("where the time went")
        for name, seconds in self.seconds.most_common(self.most):
            terminalreporter.write_line(f"{seconds:7.1f} s  {name}")
        rest = self.seconds.total() - sum(seconds for _, seconds in self.seconds.most_common(self.most))
        terminalreporter.write_line(f"{rest:7.1f} s  {max(0, len(self.seconds) - self.most)} other files")
        wall = time.monotonic() - self.begun
        told = f"{self.seconds.total():.0f} s of tests in {wall:.0f} s"
        if self.turns:
            told += f"; {self.turns['alone']:.0f} s of it alone on the machine, {self.turns['waited']:.0f} s of waiting"
        terminalreporter.write_line(told)


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist's own answer
def pytest_xdist_auto_num_workers() -> int:
    """What ``-n auto`` means."""
    return (os.cpu_count() or 1) + 1


def _lock_path(uid: str) -> Path:
    return Path(tempfile.gettempdir()) / f"cvprod-turns-{uid}"


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByFile:
    """The order of work; xdist asks for it in the process that hands tests out."""
    return ByFile(config, log)


def pytest_configure(config: pytest.Config) -> None:
    """In a process that runs tests, before anything imports PyTorch: take turns with the others."""
    if hasattr(config, "workerinput"):
        config.pluginmanager.register(Worker(Turns(_lock_path(config.workerinput["testrunuid"]))))
    else:
        config.pluginmanager.register(Clock())


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Leave no lock behind."""
    handing_out = session.config.pluginmanager.get_plugin("dsession")
    if handing_out is not None:
        Turns(_lock_path(handing_out.nodemanager.testrunuid)).remove()
