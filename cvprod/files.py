"""Files that survive a power cut (written beside their place, synced, renamed), and locks between processes."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO


def write_atomic(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Replace `path` by `data` whole or not at all, on disk when this returns. Raises OSError (disk full, say)."""
    with replacing(path, mode=mode) as file:
        file.write(data)


@contextlib.contextmanager
def replacing(path: Path, *, mode: int = 0o644) -> Iterator[BinaryIO]:
    """A binary file that takes the place of `path` when the block ends; an exception in it leaves the old file."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(mode)  # mkstemp makes private files
        Path(temporary).replace(path)
        sync_folder(path.parent)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read_yaml(path: Path) -> Any:
    """What a YAML file holds. Raises OSError, and ValueError that says where it is wrong.

    A key that is written twice is wrong: PyYAML would take the last one and say nothing.
    """
    import yaml  # not everybody who writes files has it

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
            seen = set()
            for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
                if key.value in seen:
                    raise yaml.MarkedYAMLError(problem=f"{key.value!r} is there twice", problem_mark=key.start_mark)
                seen.add(key.value)
            return super().construct_mapping(node, deep)

    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader)  # a SafeLoader
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(str(error)) from None


def sync_folder(folder: Path) -> None:
    """Bring a rename in `folder` to the disk: without it a power cut may undo the rename though not the file."""
    if os.name != "posix":  # Windows has no handle on a folder
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(path: Path, *, shared: bool = False) -> Iterator[Callable[[], None]]:
    """Wait for the lock of that path: one process holds it, or several that all ask for it `shared`.

    The block is given a function that lets others share the lock from then on. The system opens it when its holder
    dies. The file is made where it is missing, and stays. Windows has no such locks; there nobody waits.
    """

    def take(shared: bool) -> None:
        if os.name == "posix":
            import fcntl

            fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)

    with path.open("w") as file:
        take(shared)
        yield lambda: take(shared=True)
