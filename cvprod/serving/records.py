"""Records of what was served: one JSON object a picture, without the picture. Off by default (`--records FOLDER`).

A line says when, which request, which model, what verdict. One picture in a hundred also gets the descriptors and the
embedding from which drift is judged (`cvprod.monitoring`); an image cannot be made again from those. Lines are written
by a thread of its own, into files that are bounded in size and number: a disk that is full, or slow, loses records,
which are counted, and never a request.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cvprod.serving import metrics
from cvprod.serving.descriptors import describe
from cvprod.serving.tracing import trace_id

if TYPE_CHECKING:
    from cvprod.serving.context import Context, Observation

MAX_BYTES = 32 * 2**20
FILES = 8
_WAITING = 1000  # observations that the thread may be behind


def sampled(request_id: str, row: int, share: float) -> bool:
    """Whether this picture is looked at more closely: by a hash, so that whoever asks again gets the same answer."""
    return zlib.crc32(f"{request_id}/{row}".encode()) < share * 2**32


class Records:
    """A watcher that writes records.

    Args:
        folder: where; made if missing. Files are called records-PID-N.jsonl.
        share: of pictures that get descriptors and embedding.
        embed: tiles uint8 (n, 1, 96, 96) to (probabilities, embeddings); None writes no embeddings.
        max_bytes, files: of one file, and how many each worker keeps.

    Raises:
        OSError: the folder cannot be written to.
    """

    def __init__(
        self, folder: Path, *, share: float = 0.01, embed: Callable | None = None, max_bytes: int = MAX_BYTES,
        files: int = FILES,
    ) -> None:  # fmt: skip
        self.folder, self.share, self._embed = Path(folder), share, embed
        self._max_bytes, self._files, self._number = max_bytes, files, 0
        self.folder.mkdir(parents=True, exist_ok=True)
        self._queue: queue.Queue[Any] = queue.Queue(_WAITING)
        self._file = None
        self._thread = threading.Thread(target=self._run, name="records", daemon=True)
        self._thread.start()

    def seen(self, observation: Observation) -> None:
        """Take one answered request in. Quick: the tiles of sampled pictures are copied, the rest is the thread's."""
        o = observation
        rows = [k for k, row in enumerate(o.rows) if sampled(o.request_id, row, self.share)]
        try:
            self._queue.put_nowait((o, rows, o.tiles[rows].copy() if rows else None))
        except queue.Full:
            metrics.RECORDS.labels("lost").inc(len(o.verdicts))

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            o = item[0]
            try:
                lines = self._lines(*item)
                self._write("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines).encode())
                metrics.RECORDS.labels("written").inc(len(lines))
            except (OSError, ValueError):
                metrics.RECORDS.labels("lost").inc(len(o.verdicts))
        if self._file is not None:
            self._file.close()

    def _lines(self, o: Observation, rows: list[int], tiles: np.ndarray | None) -> list[dict[str, Any]]:
        looked: dict[int, dict[str, list[float]]] = {}
        if tiles is not None:
            described = describe(tiles)
            embedded = self._embed(tiles)[1] if self._embed else None
            for i, k in enumerate(rows):
                looked[k] = {"descriptors": [round(float(v), 5) for v in described[i]]}
                if embedded is not None:
                    looked[k]["embedding"] = [round(float(v), 4) for v in embedded[i]]
        found = []
        for k, (row, verdict) in enumerate(zip(o.rows, o.verdicts, strict=True)):
            line = {
                "time": round(o.answered, 3), "request_id": o.request_id, "row": row,
                "trace_id": trace_id(o.traceparent, o.request_id), "route": o.route, "model": o.model_name,
                "version": o.model_version, "label": verdict.label, "probability": verdict.probability,
                "review": verdict.review, "ms": round((o.answered - o.received) * 1e3, 3),
            }  # fmt: skip
            if k in looked:
                line |= looked[k] | {"probabilities": [round(float(p), 6) for p in verdict.probabilities]}
            found.append(line)
        return found

    def _write(self, data: bytes) -> None:
        if self._file is not None and self._file.tell() + len(data) > self._max_bytes:
            self._file.close()
            self._file = None
        if self._file is None:
            self._number += 1
            self._file = self._path(self._number).open("ab", buffering=0)
            with contextlib.suppress(FileNotFoundError):
                self._path(self._number - self._files).unlink()
        self._file.write(data)

    def _path(self, number: int) -> Path:
        return self.folder / f"records-{os.getpid()}-{number}.jsonl"

    def close(self) -> None:
        """Write what is waiting, within five seconds."""
        with contextlib.suppress(queue.Full):
            self._queue.put(None, timeout=5)
        self._thread.join(5)


def attach(context: Context, folder: Path) -> None:
    """Attach records to a worker. Raises SettingsError where the folder cannot be written to."""
    from cvprod.serving.settings import SettingsError

    try:
        embed = _embedder(context)
        context.watchers.append(Records(folder, share=context.settings.records_share, embed=embed))
    except OSError as error:
        raise SettingsError(f"--records {folder}: {error.strerror or error}") from None


def _embedder(context: Context) -> Callable | None:
    """The model's own view of a tile, where the package `onnx` is there to make it."""
    from cvprod.serving.logs import log

    try:
        from cvprod.serving.embedding import Embedder

        return Embedder(context.settings.model)
    except ImportError:
        log.warning("records", extra={"event": "records-without-embeddings", "detail": "the package onnx is missing"})
        return None
