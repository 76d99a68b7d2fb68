"""Run tests in turns: what measures time has the machine to itself, the rest runs side by side. A plugin for pytest.

``pytest -p cvprod.book.pytest_turns -n auto notebooks tests`` starts one process more than there are cores
(pytest-xdist), because tests of servers mostly wait. A chapter's cell that measures time, and a test that is marked
``alone``, run while every other process waits. All others run beside each other, so PyTorch is told to use one thread,
and OpenMP not to spin for long where a test asks for more. Without ``-n`` there is one process, and nothing here does
anything.
"""

from __future__ import annotations

import os
import re
import tempfile
import threading
import time
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
#: Units of work that are more than a file: chapters with odd and with even numbers, and what needs all of them.
ODD, EVEN, SITE = "odd chapters", "even chapters", "tests/site"
CHAPTERS = {ODD, EVEN}
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
            turn = self.turns.alone() if alone else self.turns.share(self._kind(item))
            self._let_in = self._turn.enter_context(turn)
        long = None if alone or self._let_in is None else threading.Timer(QUICK, self._share)
        if long:
            long.start()
        begun = time.monotonic()
        try:
            return (yield)
        finally:
            self._took[item.path] = time.monotonic() - begun
            if long:
                long.cancel()
                long.join()
            if self._let_in is None or not soon(item, nextitem):
                self._turn.close()
                self._let_in = None

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
    """A file's tests run in one process, in their order; so does every second chapter, and all tests of the site.

    The site is rendered from what the chapters put out, and its tests take longest: they come right after the chapters,
    with the ledger, which shows what all of them measured.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.split("::", 1)[0]
        if path == LEDGER or path.startswith(f"{SITE}/"):
            return SITE
        if path.endswith(NOTEBOOK):
            number = re.match(r"\d+", Path(path).name)
            return ODD if number and int(number[0]) % 2 else EVEN
        return path

    def mark_test_complete(self, node: WorkerController, item_index: int, duration: float = 0) -> None:
        """Give the process more to do, and also those that waited for chapters of another one."""
        super().mark_test_complete(node, item_index, duration)
        for other in self.nodes:
            if other is not node and self._only_site_left():
                self._reschedule(other)

    def _only_site_left(self) -> bool:
        """Whether nothing but the site waits to be handed out."""
        return list(self.workqueue) == [SITE]

    def _may_render(self, node: WorkerController) -> bool:
        """Whether tests of the site that this process gets now will find all chapters executed; it works in order."""
        elsewhere = (work for other, work in self.assigned_work.items() if other is not node)
        ended = all(all(work[unit].values()) for work in elsewhere for unit in CHAPTERS & work.keys())
        return ended and not CHAPTERS & self.workqueue.keys()

    def _assign_work_unit(self, node: WorkerController) -> None:
        if SITE in self.workqueue:
            self.workqueue.move_to_end(SITE, last=not self._may_render(node))
        super()._assign_work_unit(node)

    def _reschedule(self, node: WorkerController) -> None:
        work = self.assigned_work.get(node, {})
        if not self._only_site_left() or self._may_render(node):
            super()._reschedule(node)
        elif CHAPTERS & work.keys() and self._pending_of(work) < 2 and not any(n.shutting_down for n in self.nodes):
            # A process runs its last test when it is given another or told to end. Of two that run chapters, and
            # would wait for each other, this one ends.
            node.shutdown()


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


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Leave no lock behind."""
    handing_out = session.config.pluginmanager.get_plugin("dsession")
    if handing_out is not None:
        Turns(_lock_path(handing_out.nodemanager.testrunuid)).remove()
