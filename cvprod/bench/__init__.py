"""Benchmarks of the book's claims: ``python -m cvprod.bench COMMAND``.

Every module in this folder is a command, with ``add_arguments(parser)`` and ``run(args) -> int``. A command turns
what the reader can mend (a wrong path, a missing file) into an exit status by raising :class:`UsageError`, and what
went wrong on its way (a server that does not start) by raising :class:`FailureError`.
"""

import contextlib
import pkgutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from cvprod.files import write_atomic

COMMANDS = tuple(sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.ispkg and not m.name.startswith("_")))


class UsageError(Exception):
    """The command cannot start as it was called; the message says what to change."""


class FailureError(RuntimeError):
    """The command started and could not come to its end; the message says why."""


@contextlib.contextmanager
def mendable(option: str = "") -> Iterator[None]:
    """Around the reading of data and models: an OSError or ValueError there becomes a UsageError, led by `option`."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise UsageError(f"{option}: {error}" if option else str(error)) from error


def check_output(option: str, path: Path | None, suffixes: Sequence[str] = ()) -> None:
    """Called before a measurement, whose result will be written to `path` by :func:`write_output`.

    Raises UsageError for a path that cannot be written, or that ends in none of `suffixes` (if any are given). An
    existing file stays as it is; None passes.
    """
    if path is None:
        return
    if suffixes and path.suffix.lower() not in suffixes:
        raise UsageError(f"{option} {path}: the name must end in {' or '.join(suffixes)}")
    try:
        if not path.absolute().parent.is_dir():
            raise UsageError(f"{option} {path}: its folder does not exist; create it first")
        if path.is_dir():
            raise UsageError(f"{option} {path}: it is a folder; name a file")
        if path.is_file():
            with path.open("ab"):
                pass
        if _replaceable(path):
            with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}."):
                pass
    except OSError as error:
        raise UsageError(f"{option} {path}: cannot be written ({error.strerror or error})") from error


def write_output(option: str, path: Path, data: str | bytes) -> None:
    """Write a result whole or not at all; into a link, a device or a pipe (/dev/stdout) as it comes.

    Raises FailureError where that fails after all: the disk is full, say.
    """
    data = data.encode() if isinstance(data, str) else data
    try:
        if _replaceable(path):
            write_atomic(path, data)
        else:
            path.write_bytes(data)
    except OSError as error:
        raise FailureError(f"{option} {path}: could not be written ({error.strerror or error})") from error


def _replaceable(path: Path) -> bool:
    return not path.is_symlink() and (path.is_file() or not path.exists())
