"""The inspection loop of an edge device: frame -> tiles -> network -> decision, for months, whatever happens.

What happens, and what the loop does:

    a frame cannot be read         counted and skipped
    the disk is full               inspection goes on, log lines are dropped and counted (`journal`)
    the process is killed          systemd starts it again; it goes on after the last checkpoint
    something hangs                the watchdog is not fed any more, systemd kills and restarts (`watchdog`)
    the camera is unplugged        no readable frame feeds the watchdog either, and the source ends (`sources`)
    an update is tampered with     refused, the old model keeps running (`update`)
    a new model is bad             refused by the health check; on trial, rolled back after faults or restarts
"""

from __future__ import annotations

import contextlib
import json
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from cvprod.files import write_atomic
from cvprod.surface import INPUT_SIZE, to_input

from .engine import open_model
from .journal import Journal
from .sources import cut
from .update import Device, UpdateError
from .watchdog import Watchdog

CONFIRM_AFTER = 50  # frames without a fault that end a new model's trial
CHECKPOINT_S = 2.0  # an SD card wears out by small writes: so not for every frame
CLEAN = "clean"  # the class that is no defect; a model without it calls everything one
MAX_FAULTS = 5  # model faults in a row that end the process (or a trial)


class ModelFault(RuntimeError):
    """The model failed again and again, and there is no earlier one: systemd's turn."""


@dataclass
class Counters:
    """Totals since the device was set up; they outlive the process."""

    frames: int = 0
    tiles: int = 0
    defects: int = 0
    unreadable: int = 0
    faults: int = 0
    starts: int = 0
    last_frame: str = ""


@dataclass
class Report:
    """What one run did: this run's counters, the model version at its end, tile latencies in seconds."""

    counters: Counters
    version: int
    dropped_lines: int
    seconds: float
    latencies: deque = field(default_factory=lambda: deque(maxlen=10_000))

    def p50_ms(self) -> float:
        """Median time from tile to decision in ms; nan without tiles."""
        return float(np.median(self.latencies) * 1e3) if self.latencies else float("nan")

    def as_dict(self) -> dict:
        """For printing as JSON."""
        numbers = {"version": self.version, "dropped_lines": self.dropped_lines, "seconds": round(self.seconds, 3)}
        return {**asdict(self.counters), **numbers, "p50_ms": round(self.p50_ms(), 3) if self.latencies else None}


class Inspector:
    """One device at work. `opener(path, threads)` gives a predictor: uint8 (N, 1, 96, 96) -> float32 logits (N, 7)."""

    def __init__(
        self, device: Device, *, threads: int = 1, journal: Journal | None = None, checkpoint_s: float = CHECKPOINT_S,
        opener: Callable[[Path, int], Callable[[np.ndarray], np.ndarray]] = open_model,
    ) -> None:  # fmt: skip
        """checkpoint_s: seconds between checkpoints, at least 0; so much work is done twice after a kill."""
        if not 0 <= checkpoint_s < float("inf"):
            raise ValueError(f"the seconds between checkpoints are a number from 0, not {checkpoint_s}")
        self.checkpoint_s = checkpoint_s
        self.device, self.threads, self._opener = device, threads, opener
        self.journal = journal or Journal(device.root / "log")
        self.watchdog = Watchdog()
        self.counters = self._recover()
        self._good = 0
        self._bad = 0
        self._proven = False
        self._state = device.state
        self._stop = False

    # life

    def run(self, frames: Iterable[tuple[str, np.ndarray | None]], *, limit: int | None = None) -> Report:
        """Inspect frames until the source ends, `limit` frames are done, or the process is asked to stop.

        Raises UpdateError where no intact model is installed, ModelFault where it keeps failing.
        """
        begin = time.monotonic()
        self.counters.starts += 1
        self._checkpoint()
        with contextlib.suppress(OSError, UpdateError):  # disk full, or an install holds the lock
            if self.device.started():
                self.journal.write({"event": "rollback", "why": "the new model's process died too often"})
        self._load()
        self.watchdog.ready()
        latencies: deque = deque(maxlen=10_000)
        done, saved = 0, begin
        for name, picture in frames:
            if name:
                self._one(name, picture, latencies)
                done += 1
            count = self.counters
            if picture is not None or not name:  # a source that only gives what cannot be read hangs, too
                self.watchdog.alive(f"model {self._version}, {count.frames} frames, {count.defects} defects")
            if time.monotonic() - saved > self.checkpoint_s:
                saved = time.monotonic()
                self._checkpoint()
                self._follow()
            if self._stop or (limit is not None and done >= limit):
                break
        self._checkpoint()
        self.watchdog.stopping()
        return Report(self.counters, self._version, self.journal.dropped, time.monotonic() - begin, latencies)

    def stop_on_signals(self) -> None:
        """SIGTERM and SIGINT end the run after the frame at hand."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: setattr(self, "_stop", True))

    # one frame

    def _one(self, name: str, picture: np.ndarray | None, latencies: deque) -> None:
        c = self.counters
        c.frames += 1
        c.last_frame = name
        if picture is None:
            c.unreadable += 1
            self.journal.write({"frame": name, "event": "unreadable"})
            return
        found = []
        for tile in cut(picture):
            start = time.perf_counter()
            label = self._classify(tile)
            latencies.append(time.perf_counter() - start)
            if label is None:
                return
            c.tiles += 1
            c.defects += self._classes[label] != CLEAN
            found.append(self._classes[label])
        self.journal.write({"frame": name, "model": self._version, "found": found})
        self._good += 1
        self._bad = 0
        if self._good >= CONFIRM_AFTER and not self._proven:
            with contextlib.suppress(UpdateError, OSError):  # an install holds the lock, a full disk: next frame
                self.device.confirm(self._version)
                self._proven = True

    def _classify(self, tile: np.ndarray) -> int | None:
        """The class index; None after a fault of the model."""
        try:
            logits = self._predict(to_input(tile)[None, None])
            if logits.shape != (1, len(self._classes)) or not np.isfinite(logits).all():
                raise ModelFault(f"logits {logits.shape}, all finite: {bool(np.isfinite(logits).all())}")
            return int(logits.argmax())
        except Exception as error:  # a native runtime may raise anything
            self.counters.faults += 1
            self._bad += 1
            self.journal.write({"event": "fault", "model": self._version, "why": str(error)[:200]})
            if self._bad >= MAX_FAULTS:
                self._give_up(error)
            return None

    def _give_up(self, error: Exception) -> None:
        bad = self._version
        try:
            if self.device.state.trial_starts is None:
                raise UpdateError("the model is no longer on trial")
            self.device.rollback()
        except UpdateError:
            raise ModelFault(f"model {bad} failed {MAX_FAULTS} times in a row ({error})") from error
        self._load()
        self.journal.write({"event": "rollback", "from": bad, "to": self._version, "why": str(error)[:200]})

    # the model

    def _load(self) -> None:
        """Open the active model and run it once, so that the first frame is not the slow one."""
        path, manifest = self.device.active()
        self._classes = manifest.classes  # the network's own: the device need not know them before
        self._predict = self._opener(path, self.threads)
        with contextlib.suppress(Exception):  # a fault is met, and counted, on the first frame
            self._predict(np.zeros((1, 1, INPUT_SIZE, INPUT_SIZE), np.uint8))
        self._version, self._state = manifest.version, self.device.state
        self._good, self._bad, self._proven = 0, 0, False

    def _follow(self) -> None:
        """Take up a model that another process has installed or rolled back; keep the old one if that fails."""
        state = self.device.state
        if replace(state, trial_starts=None) == replace(self._state, trial_starts=None):
            return
        try:
            with contextlib.suppress(OSError, UpdateError):
                self.device.started()  # with the new model, which may take the process along
            self._load()
            self.journal.write({"event": "model", "version": self._version})
        except Exception as error:
            self._state = state
            self.journal.write({"event": "kept the old model", "why": str(error)[:200]})

    # memory

    def _checkpoint(self) -> None:
        with contextlib.suppress(OSError):  # a full disk must not stop the line
            write_atomic(self.device.root / "counters.json", json.dumps(asdict(self.counters)).encode())

    def _recover(self) -> Counters:
        try:
            return Counters(**json.loads((self.device.root / "counters.json").read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return Counters()
