"""Build the site: execute what changed, render, and say where it is (``make book``, ``make book CHAPTER=05``).

Jupyter Book caches a chapter's outputs by the content of its notebook. It does not know that a chapter also depends
on the package that it imports, so this module drops the cache when the package, its weights, the contract
or the reader's own images change. It also runs one chapter after the other, each mostly on one core. So chapters go
first through what runs them in the tests, two at a time except where a cell measures; what they put out goes to the
same cache. A chapter with a failing cell runs once more, alone and to its end; every page is rendered, that one with
its error and a warning, and the build ends with the list of what failed and status 1.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import shutil
import stat
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import yaml

from cvprod import claims
from cvprod.book import notebooks
from cvprod.repo import ROOT

if TYPE_CHECKING:
    from cvprod.book.failures import Failure

BUILD = ROOT / "_build"
CACHED = (".jupyter_cache", ".doctrees", "html/.doctrees")
#: What a chapter's outputs depend on besides its own text.
INPUTS = ("cvprod", "deploy", "terraform", ".github", "requirements.txt")
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
    if claims.mode() == "publish":  # what a reader's run let pass is judged again before it is published
        digest.update(b"publish")
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
    """The chapters, in reading order, of which the cache holds no outputs, or those of a failed run."""
    from cvprod.book.failures import failures

    return [path for path in notebooks.committed(root) if (found := cached(path, root)) is None or failures(found, "")]


def cached(path: Path, root: Path = ROOT) -> nbformat.NotebookNode | None:
    """The executed notebook that the cache holds for the one at `path`; None where it holds none."""
    folder = root / "_build/.jupyter_cache"
    if not folder.is_dir():
        return None
    from jupyter_cache import get_cache  # brings SQLAlchemy, and most of what imports this module needs neither

    cache = get_cache(str(folder))
    try:
        return cache.get_cache_bundle(cache.match_cache_file(str(path)).pk).nb
    except KeyError:
        return None


def keep(notebook: nbformat.NotebookNode, path: Path, folder: Path, seconds: float) -> None:
    """Put an executed notebook into the cache in `folder`, where Jupyter Book finds it for the one at `path`."""
    from jupyter_cache import get_cache
    from jupyter_cache.base import CacheBundleIn

    bundle = CacheBundleIn(notebook, str(path), data={"execution_seconds": seconds})
    get_cache(str(folder)).cache_notebook_bundle(bundle, check_validity=False, overwrite=True)


def execute(chapters: Sequence[Path], root: Path = ROOT) -> bool:
    """Run chapters as the tests do, and keep what those put out whose cells all pass; returns whether all did.

    Two at a time (cvprod.book.pytest_turns): a cell that measures time has the machine to itself.
    """
    at_a_time = str(min(2, os.cpu_count() or 1))
    command = [*PYTEST, "-p", "cvprod.book.pytest_turns", "-n", at_a_time, "-q", "-rf", *map(str, chapters)]
    return subprocess.run(command, cwd=root, check=False).returncode == 0


def execute_alone(path: Path, root: Path = ROOT) -> list[Failure]:
    """Run one chapter with nothing beside it, keep what it puts out, errors too; returns what failed."""
    from cvprod.book.failures import failures, run_to_the_end

    begun = time.perf_counter()
    with environment(SPIN):
        notebook = run_to_the_end(path, timeout=CELL_TIMEOUT)
    keep(notebook, path, root / "_build/.jupyter_cache", time.perf_counter() - begun)
    return failures(notebook, path.name)


def read_again(path: Path, root: Path = ROOT) -> None:
    """Make Sphinx read a page anew whose notebook has new outputs and the old text."""
    page = path.relative_to(root).with_suffix(".doctree")
    for folder in (root / "_build/.doctrees", root / "_build/html/.doctrees"):
        (folder / page).unlink(missing_ok=True)


def build(root: Path = ROOT, chapter: Path | None = None) -> tuple[int, list[Failure]]:
    """Execute and render the book, or one chapter of it.

    Returns the exit status of Jupyter Book (a warning is not 0), and the cells that failed.
    """
    if drop_stale_cache(root):
        print(
            "The package or your images changed since the last build (or this is the first): every chapter runs again.",
            flush=True,
        )
    forget_failed_build(root)
    missing = [path for path in not_executed(root) if chapter in (None, path)]
    # A single one runs as quickly alone.
    if len(missing) > 1:
        print(f"Executing {len(missing)} notebooks, a dot a cell:", flush=True)
        execute(missing, root)
    failed = []
    for path in missing:
        if len(missing) == 1 or cached(path, root) is None:
            again = "once more, " if len(missing) > 1 else ""
            print(f"Executing {path.name} {again}with nothing beside it.", flush=True)
            failed += execute_alone(path, root)
        read_again(path, root)
    return render(root, chapter), failed


def render(root: Path = ROOT, chapter: Path | None = None) -> int:
    """Render what is executed; returns the exit status of Jupyter Book."""
    jupyter_book = Path(sysconfig.get_path("scripts")) / "jupyter-book"
    command = [str(jupyter_book), "build", str(root)]
    if chapter is None:
        command += ["-W", "--keep-going"]
    else:  # a site of one page, in a folder of its own; its links to other pages lead nowhere, which is no fault
        alone = root / "_build" / chapter.stem
        alone.mkdir(parents=True, exist_ok=True)
        contents = {"format": "jb-book", "root": str(chapter.relative_to(root).with_suffix(""))}
        (alone / "_toc.yml").write_text(yaml.safe_dump(contents))
        command += ["--toc", str(alone / "_toc.yml"), "--path-output", str(alone)]
    return subprocess.run(command, cwd=root, check=False, env=dict([SPIN]) | os.environ).returncode


@contextlib.contextmanager
def environment(*pairs: tuple[str, str], replace: bool = False) -> Iterator[None]:
    """Variables for what is started meanwhile; with `replace` also those that are set already. All come back after."""
    before = {name: os.environ.get(name) for name, _ in pairs}
    os.environ.update({name: value for name, value in pairs if replace or before[name] is None})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def unheld(root: Path = ROOT) -> list[str]:
    """Names of the chapters on which a measured relation did not hold: `cvprod.claims` left a note on their page."""
    pages = {path.name: cached(path, root) for path in notebooks.committed(root)}
    return [name for name, page in pages.items() if page is not None and claims.NOTE_CLASS in nbformat.writes(page)]


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Run the command line; returns the exit status: 0 for a whole book without a failed cell."""
    parser = argparse.ArgumentParser(prog="python -m cvprod.book.build", description=__doc__.split("\n")[0])
    parser.add_argument("--chapter", metavar="NN", help="this chapter alone, to a site of one page")
    options = parser.parse_args(arguments)
    try:
        chapter = notebooks.find(options.chapter, root) if options.chapter else None
        publishing = claims.mode() == "publish"  # a mistyped mode is told before an hour's work
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    begun = time.perf_counter()
    status, failed = build(root, chapter)
    took = time.perf_counter() - begun
    page = root / "_build/html/index.html"
    if chapter is not None:
        page = root / "_build" / chapter.stem / f"_build/html/notebooks/{chapter.stem}.html"
    if failed:
        print(f"\nFailed cells: {len(failed)}. Their pages show the error under a warning.", file=sys.stderr)
        print("\n".join(f"  {failure}" for failure in failed), file=sys.stderr)
    if status:
        print("\nJupyter Book warns: its first warning above says where.", file=sys.stderr)
    if publishing and (notes := unheld(root)):
        print(f"\nNot to be published: a claim does not hold in {', '.join(notes)}.", file=sys.stderr)
        status = 1
    if status or failed:
        print(f"\nThe book has faults ({took:.0f} s). What could be rendered: {page}", file=sys.stderr)
        return 1
    print(f"\nThe book is ready after {took:.0f} s: open {page}, or run 'make serve-book'.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
