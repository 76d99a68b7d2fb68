"""What the service recorded, read as it is written: samples for the monitor, and labels joined to the answers."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cvprod.surface import CLASSES

from .sample import Sample

LABELS = "labels.jsonl"
_REMEMBERED = 200_000  # answers that still wait for their label


class Served:
    """The records of a folder (`cvprod.serving.records`), and labels that auditors put beside them.

    Auditors append lines such as ``{"request_id": "...", "row": 0, "label": "scratches"}`` to labels.jsonl. Only whole
    lines are read; a line that cannot be read is counted in `spoilt` and passed over.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder, self.spoilt = Path(folder), 0
        self._at: dict[Path, int] = {}
        self._answers: OrderedDict[tuple[str, int], int] = OrderedDict()

    def _lines(self, path: Path) -> Iterator[dict]:
        with path.open("rb") as file:
            file.seek(self._at.get(path, 0))
            for line in file:
                if not line.endswith(b"\n"):
                    break  # still being written
                self._at[path] = self._at.get(path, 0) + len(line)
                try:
                    yield json.loads(line)
                except (ValueError, RecursionError):
                    self.spoilt += 1

    def new(self) -> Sample | None:
        """Sampled pictures since the last call, by time of their answer; None where there are none."""
        rows = []
        for path in sorted(self.folder.glob("records-*.jsonl")):
            try:
                found = list(self._lines(path))
            except FileNotFoundError:  # its worker has made room
                continue
            for line in found:
                try:
                    key = (line["request_id"], int(line["row"]))
                    self._answers[key] = CLASSES.index(line["label"])
                    if "embedding" in line:
                        parts = [np.array(line[k], np.float32) for k in ("descriptors", "embedding", "probabilities")]
                        sizes = [part.shape for part in parts]
                        if any(len(size) != 1 for size in sizes) or (rows and sizes != [p.shape for p in rows[0][1:]]):
                            raise ValueError("not a row like the others")
                        rows.append((float(line["time"]), *parts))
                except (KeyError, ValueError, TypeError, OverflowError):
                    self.spoilt += 1
        while len(self._answers) > _REMEMBERED:
            self._answers.popitem(last=False)
        if not rows:
            return None
        rows.sort(key=lambda row: row[0])
        return Sample(*(np.array([row[k] for row in rows], np.float32) for k in (1, 2, 3)))

    def labels(self) -> tuple[np.ndarray, np.ndarray]:
        """Labels that have come since the last call, and the answers to the same pictures: two int64 (N,).

        A label for a picture that nobody remembers is counted in `spoilt`.
        """
        truth, said = [], []
        path = self.folder / LABELS
        for line in self._lines(path) if path.is_file() else ():
            try:
                answer = self._answers.pop((line["request_id"], int(line.get("row", 0))))
                truth.append(CLASSES.index(line["label"]))
                said.append(answer)
            except (KeyError, ValueError, TypeError, OverflowError):
                self.spoilt += 1
        return np.array(truth, np.int64), np.array(said, np.int64)
