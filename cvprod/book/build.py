"""Build the site: execute what changed, render, and say where it is (``make book``).

Jupyter Book caches a chapter's outputs by the content of its notebook. It does not know that a chapter also depends
on the package that it imports, so this module drops the cache when the package, its weights, the contract
or the reader's own images change. It also runs one chapter after the other, each mostly on one core. So chapters go
first through what runs them in the tests, two at a time except where a cell measures; what they put out goes to the
same cache.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import subprocess
import sys
import sysconfig
import time
from collections.abc import Sequence
from pathlib import Path

from cvprod.book import notebooks
from cvprod.repo import ROOT

BUILD = ROOT / "_build"
SITE = BUILD / "html"
CACHED = (".jupyter_cache", ".doctrees", "html/.doctrees")
#: What a chapter's outputs depend on besides its own text.
INPUTS = ("cvprod", "deploy", "requirements.txt")
#: Rounds for which a thread of OpenMP spins before it sleeps: less than a millisecond. With GCC's much longer default,
#: two threads beside another program take two to four times the work, from cores that the other one wants.
SPIN = "GOMP_SPINCOUNT", "10000"
#: Seconds that a cell may take; _config.yml says the same to Jupyter Book.
CELL_TIMEOUT = 600
#: pytest that runs chapters cell by cell, and keeps for the book what those put out whose cells all pass.
PYTEST = (sys.executable, "-m", "pytest", "-p", "cvprod.book.pytest_keep", "--nbval-lax", "--nbval-current-env",
          f"--nbval-cell-timeout={CELL_TIMEOUT}")  # fmt: skip


def inputs_digest(root: Path = ROOT) -> str:
    """Return the SHA-256 of every file that chapters import or read, by relative path and content.

    The reader's images (``CVPROD_DATA``), of which there may be many, count by name, size and time of change.
    """
    digest = hashlib.sha256()
    for name in INPUTS:
        top = root / name
        files = sorted(top.rglob("*")) if top.is_dir() else [top]
        for path in files:
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(str(path.relative_to(root)).encode())
                digest.update(path.read_bytes())
    images = os.environ.get("CVPROD_DATA", "")
    digest.update(os.fsencode(images))
    if images:
        for line in _listing(Path(images), root / "notebooks"):
            digest.update(line)
    return digest.hexdigest()


def _listing(images: Path, base: Path) -> list[bytes]:
    """A line for each file and folder that `cvprod.surface.load_folder` looks at; none where there is no folder.

    A relative path starts where the chapters run, at ``base``.
    """
    with contextlib.suppress(RuntimeError):  # ~somebody who has no home
        images = images.expanduser()
    top, found = base / images, []
    for path in (*top.glob("[!.]*"), *top.glob("[!.]*/[!.]*")):
        try:
            status = path.stat()
            # A folder's own time changes with hidden files too, which are not read.
            state = "folder" if stat.S_ISDIR(status.st_mode) else f"{status.st_size} {status.st_mtime_ns}"
        except OSError:  # a link that leads nowhere, say
            state = "unreadable"
        found.append(os.fsencode(path.relative_to(top)) + b"\0" + state.encode() + b"\n")
    return sorted(found)


def drop_stale_cache(root: Path = ROOT) -> bool:
    """Remove cached executions made with another version of the package; return whether anything was removed."""
    build = root / "_build"
    stamp, digest = build / "inputs.sha256", inputs_digest(root)
    if stamp.exists() and stamp.read_text() == digest:
        return False
    for name in CACHED:
        shutil.rmtree(build / name, ignore_errors=True)
    build.mkdir(exist_ok=True)
    stamp.write_text(digest)
    return True


def forget_failed_build(root: Path = ROOT) -> None:
    """Remove what would fail every later build: the theme leaves its logo as a *file* `_static` where one fails."""
    static = root / "_build/html/_static"
    if static.is_file():
        static.unlink()


def not_executed(root: Path = ROOT) -> list[Path]:
    """The chapters, in reading order, of which the cache holds no outputs."""
    chapters, folder = notebooks.committed(root), root / "_build/.jupyter_cache"
    if not folder.is_dir():
        return chapters
    from jupyter_cache import get_cache  # brings SQLAlchemy, and most of what imports this module needs neither

    cache, missing = get_cache(str(folder)), []
    for path in chapters:
        try:
            cache.match_cache_file(str(path))
        except KeyError:
            missing.append(path)
    return missing


def execute(chapters: Sequence[Path], root: Path = ROOT) -> bool:
    """Run chapters as the tests do, and keep what those put out whose cells all pass; returns whether all did.

    Two at a time (cvprod.book.pytest_turns): a cell that measures time has the machine to itself.
    """
    at_a_time = str(min(2, os.cpu_count() or 1))
    command = [*PYTEST, "-p", "cvprod.book.pytest_turns", "-n", at_a_time, "-q", "-rf", *map(str, chapters)]
    return subprocess.run(command, cwd=root, check=False).returncode == 0


def build(root: Path = ROOT) -> int:
    """Execute and render the book; returns the exit status of Jupyter Book (a failing cell is not 0)."""
    if drop_stale_cache(root):
        print(
            "The package or your images changed since the last build (or this is the first): every chapter runs again.",
            flush=True,
        )
    forget_failed_build(root)
    missing = not_executed(root)
    # Jupyter Book runs a single one as quickly, and also those of which a cell has failed here.
    if len(missing) > 1:
        print(f"Executing {len(missing)} notebooks, a dot a cell:", flush=True)
        if not execute(missing, root):
            print("A cell has failed. Its chapter is executed once more, with nothing beside it.", flush=True)
    jupyter_book = Path(sysconfig.get_path("scripts")) / "jupyter-book"
    command = [str(jupyter_book), "build", str(root), "-W", "--keep-going"]
    environment = dict([SPIN]) | os.environ
    return subprocess.run(command, cwd=root, check=False, env=environment).returncode


def main() -> int:
    """Run the command line; returns the exit status."""
    begun = time.perf_counter()
    status = build()
    took = time.perf_counter() - begun
    if status:
        print(
            f"\nThe book did not build ({took:.0f} s): the first error above says which page and cell.",
            file=sys.stderr,
        )
        return status
    print(f"\nThe book is ready after {took:.0f} s: open {SITE / 'index.html'}, or run 'make serve-book'.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
