"""The files that workers write their metrics to: reserved when they are made, and folded into one when a worker is
gone, so that a scrape stays as quick after a thousand restarts as after none."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import mmap_dict

_LOCK = "fold.lock"
_GONE = "gone"  # in the place of a process number


class Reserved(mmap_dict.MmapedDict):
    """A worker's file of metrics whose bytes exist on the disk before they are mapped.

    The library only sets the file's size. On a full disk the first write to such a page ends the process by SIGBUS, and
    every worker that follows it.
    """

    def __init__(self, filename: str, read_mode: bool = False) -> None:
        if not read_mode:
            self._reserve(filename, mmap_dict._INITIAL_MMAP_SIZE)
        super().__init__(filename, read_mode)

    def _init_value(self, key: str) -> None:
        capacity = self._capacity
        while self._used + len(key.encode()) + 32 > capacity:  # as the library grows: by doubling
            capacity *= 2
        if capacity > self._capacity:
            self._reserve(self._fname, capacity)
        super()._init_value(key)

    @staticmethod
    def _reserve(filename: str, size: int) -> None:
        """Raises OSError where there is no room."""
        descriptor = os.open(filename, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if os.fstat(descriptor).st_size < size:
                os.posix_fallocate(descriptor, 0, size)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def reading(folder: Path) -> Iterator[None]:
    """While all files are read, none is folded: a worker would count twice, or not at all."""
    with (folder / _LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield


def fold_dead(folder: Path) -> None:
    """`fold` for every process that has files here and is gone. Raises OSError on a full disk."""
    pids = {file.stem.rpartition("_")[2] for file in folder.glob("*_*.db")}
    for pid in map(int, filter(str.isdecimal, pids)):
        if not _lives(pid):
            fold(folder, pid)


def _lives(pid: int) -> bool:
    """Whether a process still runs. One that has ended, but that its parent has not asked about yet, does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # as another user
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):  # gone since, or no Linux: a later call finds out
        return True
    return state not in "ZX"


def fold(folder: Path, pid: int) -> None:
    """Add the counters and histograms of a dead process to those of the dead, and forget its gauges.

    Raises OSError on a full disk; its files then stay, and count.
    """
    with (folder / _LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for file in folder.glob(f"*_{pid}.db"):
            kind = file.name.removesuffix(f"_{pid}.db")
            if kind in ("counter", "histogram") and file.stat().st_size:
                gone = Reserved(str(folder / f"{kind}_{_GONE}.db"))
                try:
                    for key, value, stamp, _ in mmap_dict.MmapedDict.read_all_values_from_file(str(file)):
                        gone.write_value(key, gone.read_value(key)[0] + value, stamp)
                finally:
                    gone.close()
            if kind in ("counter", "histogram") or kind.startswith("gauge_live"):
                file.unlink(missing_ok=True)
