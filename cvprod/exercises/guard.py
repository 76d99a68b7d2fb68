"""The course's files while students' code runs: what it must not read, and what must be the same afterwards."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterable
from pathlib import Path

import nbformat

from cvprod.exercises.course import COURSE, HIDDEN_MARK, SOLUTION_MARK, TEST_SUFFIX, grade_id
from cvprod.files import write_atomic

_NAMES_THE_COURSE = re.compile(r"exercises\W{1,6}source|tests\W{1,6}exercises|hidden tests", re.IGNORECASE)


def secrets(course: Path = COURSE) -> tuple[Path, ...]:
    """Folders with answers in them: the sources, the tests' right answers, the history, a gradebook's folders."""
    inside = [course / name for name in ("source", "submitted", "autograded", "feedback")]
    return (*inside, course.parent / "tests" / "exercises", course.parent / ".git")


def kept(course: Path = COURSE) -> tuple[Path, ...]:
    """Folders that nobody's code may write into."""
    return (course, course.parent / "tests" / "exercises")


class Guard:
    """The course's files as they were, to compare and to put back."""

    def __init__(self, course: Path = COURSE):
        self._files = {path: path.read_bytes() for path in self._listed(course)}
        self._course, self._lock = course, threading.Lock()

    @staticmethod
    def _listed(course: Path) -> list[Path]:
        folders = [course / "source", course / "release", *kept(course)[1:]]
        own = [path for path in course.glob("*") if path.is_file()]
        return own + [
            path
            for folder in folders
            for path in folder.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts and ".ipynb_checkpoints" not in path.parts
        ]

    def digest(self) -> str:
        """SHA-256 over names and contents, as hex."""
        whole = hashlib.sha256()
        for path, content in sorted(self._files.items()):
            whole.update(f"{path.relative_to(self._course.parent)}\0{len(content)}\0".encode() + content)
        return whole.hexdigest()

    def changed(self) -> list[Path]:
        """Files that are new, gone or other ones than at the start."""
        now = set(self._listed(self._course))
        same = {path for path, content in self._files.items() if path in now and path.read_bytes() == content}
        return sorted((now | set(self._files)) - same)

    def mend(self, aside: Path) -> list[str]:
        """Put back what has changed since the start; return one sentence for each file.

        What stood there goes into the folder `aside`: it may be an author's work after all.
        """
        notes = []
        with self._lock:
            for path in self.changed():
                if path.is_file():
                    place = aside / path.relative_to(self._course.parent)
                    place.parent.mkdir(parents=True, exist_ok=True)
                    write_atomic(place, path.read_bytes())
                    path.unlink()
                if path in self._files:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    write_atomic(path, self._files[path])
                    notes.append(f"changed the course's file {path}; it was put back, the other one is in {aside}")
                else:
                    notes.append(f"wrote {path} into the course; it was moved to {aside}")
        return notes


def suspicious(submitted: nbformat.NotebookNode, touched: Iterable[str]) -> list[str]:
    """What a human should look at: code that names the answers' folders, answers from the source, touched files."""
    found = []
    for cell in submitted.cells:
        name = grade_id(cell) or ""
        if cell.cell_type != "code":
            continue
        if HIDDEN_MARK in cell.source or SOLUTION_MARK in cell.source:
            found.append(f"{name or cell.source[:30]!r}: comes from exercises/source (solutions and hidden tests)")
        elif not name.endswith(TEST_SUFFIX) and _NAMES_THE_COURSE.search(cell.source):
            found.append(f"{name or cell.source[:30]!r}: its code names the course's files")
    return found + [f"tried to {what}" for what in touched]


# Runs in the kernel before anything else. An audit hook cannot be removed; what it sees goes to a file that the
# grader holds open. It is a witness, not a wall: the namespaces are the wall.
WITNESS = """
def _witness(watched, note):
    import os, sys
    out = os.open(note, os.O_WRONLY | os.O_APPEND)
    reads = ("open", "os.listdir", "os.scandir")
    writes = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.chmod", "os.truncate", "os.symlink", "os.link")
    runs = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn")
    wanted = {*reads, *writes, *runs}
    secret, guarded = watched
    join, write, fspath, abspath, wronly = os.path.join, os.write, os.fspath, os.path.abspath, os.O_WRONLY | os.O_RDWR
    said = set()
    def hook(event, args):
        if event not in wanted:
            return
        try:
            if event in runs:
                words = " ".join(map(str, args))
                hits = [f"run a program on {path}" for path in secret if path in words]
            else:
                name = args[0] if isinstance(args[0], (str, bytes)) else fspath(args[0])
                name = abspath(name.decode() if isinstance(name, bytes) else name)
                writing = event in writes or event == "open" and isinstance(args[2], int) and args[2] & wronly
                hits = [f"read {name}" for path in secret if (name + "/").startswith(path + "/")]
                if writing:
                    hits = [f"write {name}" for path in guarded if (name + "/").startswith(path + "/")]
            for hit in hits:
                if hit not in said and len(said) < 20:
                    said.add(hit)
                    write(out, (hit[:300].replace(chr(10), " ") + chr(10)).encode())
        except Exception:
            pass
    sys.addaudithook(hook)
"""
