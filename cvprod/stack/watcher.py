"""The monitor, started for a while: `python -m cvprod.monitoring watch` on a free port."""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from cvprod.stack.program import Program

_ADDRESS = re.compile(r"listening on http://[\d.]+:(\d+)")


class Watcher(Program):
    """Judges the records of a folder, as a context manager; `port` is where Prometheus asks.

    Args:
        records: the folder that a service writes to.
        options: more words of its command line, such as "--every", 1.

    Raises RuntimeError with the end of its log where it does not start.
    """

    def __init__(self, records: Path, *options: object) -> None:
        folder = tempfile.TemporaryDirectory(prefix="cvprod-watcher-")
        said = Path(folder.name) / "watcher.out"
        with said.open("wb") as out:
            super().__init__(
                "watcher", [sys.executable, "-m", "cvprod.monitoring", "watch", "--records", records, "--port", 0,
                            *options],
                lambda: _ADDRESS.search(said.read_text()), patience=60, folder=folder, stdout=out,
            )  # fmt: skip
        self.port = int(_ADDRESS.search(said.read_text())[1])
