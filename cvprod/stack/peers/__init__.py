"""Other people's servers, each in an environment of its own, with the same model, decoder and answer.

`naive` runs in the book's environment. The others bring dependencies that clash with it and with each other, so their
locked requirements lie beside their scripts (NAME.txt, made from NAME.in by `uv pip compile --universal`), and
`environment` creates what is needed on demand below `_build/peers`. The scripts import nothing of this package.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from cvprod.files import locked
from cvprod.repo import root

HERE = Path(__file__).parent


def environment(name: str, locks: Path = HERE) -> Path:
    """The Python of a peer's environment, created when it is missing or its lock has changed. Raises RuntimeError.

    `locks` is the folder with NAME.txt: tests keep tools that clash with the book's packages in the same way.
    """
    lock = locks / f"{name}.txt"
    if not lock.is_file():
        return Path(sys.executable)
    folder = root() / "_build" / "peers" / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_suffix(".making")):  # two processes that made it at once would spoil it
        return _made(folder, lock)


def _made(folder: Path, lock: Path) -> Path:
    """The environment's Python, after what is missing has been installed."""
    python, stamp = folder / "bin" / "python", folder / "lock.txt"
    if python.exists() and stamp.is_file() and stamp.read_text() == lock.read_text():
        return python
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    for command in (
        [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)],
        [uv, "pip", "sync", "--quiet", "--python", str(python), str(lock)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"the environment of {lock.stem} could not be made: {done.stderr.strip()[-300:]}")
    shutil.copy(lock, stamp)
    return python
