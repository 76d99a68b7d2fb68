"""Where frames come from: a folder of images or a camera. Both yield a name and a grey uint8 picture, or None.

None stands for a frame that could not be read: the loop counts it and goes on.
"""

from __future__ import annotations

import contextlib
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from cvprod.surface import TILE_SIZE, ImageError, read_image

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
MAX_BYTES = 50_000_000  # a larger file is no picture of this camera
MAX_MISSED = 100  # frames in a row that a camera may fail to give: some five seconds, then it is taken to be gone
MISSED_S = 0.05
SETTLED_NS = 1_000_000_000  # a file that has not changed for so long is whole, or will never be


class SourceError(RuntimeError):
    """The source cannot be opened, or has stopped for good; the message says what is missing."""


def frames(
    source: str, *, after: str = "", watch: bool = False, poll_s: float = 0.5
) -> Iterator[tuple[str, np.ndarray | None]]:
    """Open `source`: a folder, or "camera" (the Pi's camera by picamera2, else OpenCV's first), or "camera:N".

    Args:
        after: in a folder, skip what was there when an earlier run had come to this name: names up to and including
            it, with numbers in them counted as numbers, unless the file is younger.
        watch: wait for new files in the folder for ever, whatever they are called: a camera may start its numbers
            again, and a clock may be set back. While there is none, yield ("", None) every `poll_s` seconds so that
            the caller can feed its watchdog. A file that cannot be read is tried again until it has not changed for a
            second: it may still be on its way.
    """
    if source == "camera" or source.startswith("camera:"):
        return _camera(source.partition(":")[2])
    folder = Path(source)
    if not folder.is_dir():
        raise SourceError(f"{source}: no such folder (and not 'camera' or 'camera:N')")
    return _folder(folder, after, watch, poll_s)


def _folder(folder: Path, after: str, watch: bool, poll_s: float) -> Iterator[tuple[str, np.ndarray | None]]:
    seen = _before(folder, after)
    while True:
        there = _pictures(folder)
        seen &= there.items()  # what was deleted is forgotten, so that this does not grow for ever
        new = sorted(there.items() - seen, key=lambda item: _by_number(item[0]))
        taken = 0
        for name, changed in new:
            picture = read_grey(folder / name)
            if picture is None and watch and time.time_ns() - changed < SETTLED_NS:
                continue  # half of it may still be on its way: look again
            seen.add((name, changed))
            taken += 1
            yield name, picture
        if not watch:
            return
        if not taken:
            time.sleep(poll_s)
            yield "", None


def _pictures(folder: Path) -> dict[str, int]:
    """Name and time of change [ns] of every picture below the folder; hidden files and folders are none."""
    found = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        if path.suffix.lower() in SUFFIXES and not any(part.startswith(".") for part in name.parts):
            with contextlib.suppress(OSError):  # gone in this moment
                status = path.lstat()
                if stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode):
                    found[name.as_posix()] = status.st_mtime_ns
    return found


def _before(folder: Path, after: str) -> set[tuple[str, int]]:
    """What an earlier run that ended with `after` has had."""
    if not after:
        return set()
    there = _pictures(folder)
    last = there.get(after)
    return {
        (name, changed)
        for name, changed in there.items()
        if _by_number(name) <= _by_number(after) and (last is None or changed <= last)
    }


def _by_number(name: str) -> list[tuple[int, int, str]]:
    """A key that puts img_10 behind img_9."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", name) if part]


def read_grey(path: Path) -> np.ndarray | None:
    """The picture as uint8 (H, W), or None where the file is none: missing, empty, cut short, not an image.

    Strict on purpose: some decoders fill the missing half of a picture with grey, which passes for clean steel.
    """
    try:
        return read_image(path) if path.stat().st_size <= MAX_BYTES else None
    except (OSError, ImageError):
        return None


def _camera(which: str) -> Iterator[tuple[str, np.ndarray | None]]:
    """Frames for ever, named by their time. picamera2 hands over the Y plane of YUV420, which is the grey picture."""
    if not which:
        try:
            from picamera2 import Picamera2
        except ImportError:
            which = "0"
        else:
            return _picamera(Picamera2())
    if not (which.isascii() and which.isdecimal()):  # -1 ends some builds of OpenCV, and the process with them
        raise SourceError(f"camera:{which}: cameras have numbers, from 0")
    capture = cv2.VideoCapture(int(which))
    if not capture.isOpened():
        raise SourceError(
            f"no camera {which}: on a Pi with a ribbon camera `apt install python3-picamera2` and make the environment "
            "with --system-site-packages; a USB camera shows in `v4l2-ctl --list-devices`"
        )
    return _opencv(capture)


def _picamera(camera) -> Iterator[tuple[str, np.ndarray | None]]:
    width, height = 1280, 720
    camera.configure(camera.create_video_configuration(main={"size": (width, height), "format": "YUV420"}))
    camera.start()
    try:
        while True:
            yield _now(), camera.capture_array("main")[:height, :width].copy()
    finally:
        camera.stop()


def _opencv(capture) -> Iterator[tuple[str, np.ndarray | None]]:
    missed = 0
    try:
        while missed < MAX_MISSED:
            got, picture = capture.read()
            missed = 0 if got else missed + 1
            yield _now(), cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) if got else None
            if missed:
                time.sleep(MISSED_S)
        raise SourceError(f"the camera gave no frame {missed} times in a row: is it still plugged in?")
    finally:
        capture.release()


def _now() -> str:
    return f"{time.time():.3f}"


def cut(picture: np.ndarray, size: int = TILE_SIZE) -> list[np.ndarray]:
    """Whole tiles of `size` x `size` from the middle of a frame; a picture below two tiles is one tile itself."""
    height, width = picture.shape
    if height < 2 * size and width < 2 * size:
        return [picture]
    rows, columns = max(1, height // size), max(1, width // size)
    top, left = (
        (height - rows * size) // 2 if height >= size else 0,
        (width - columns * size) // 2 if width >= size else 0,
    )
    return [
        np.ascontiguousarray(picture[top + r * size : top + (r + 1) * size, left + c * size : left + (c + 1) * size])
        for r in range(rows)
        for c in range(columns)
    ]
