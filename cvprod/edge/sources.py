"""Where frames come from: a folder of images or a camera. Both yield a name and a grey uint8 picture, or None.

None stands for a frame that could not be read: the loop counts it and goes on.
"""

from __future__ import annotations

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


class SourceError(RuntimeError):
    """The source cannot be opened, or has stopped for good; the message says what is missing."""


def frames(
    source: str, *, after: str = "", watch: bool = False, poll_s: float = 0.5
) -> Iterator[tuple[str, np.ndarray | None]]:
    """Open `source`: a folder, or "camera" (the Pi's camera by picamera2, else OpenCV's first), or "camera:N".

    Args:
        after: in a folder, skip names up to and including this one (where an earlier run stopped).
        watch: wait for new files in the folder for ever; while there is none, yield ("", None) every `poll_s` seconds
            so that the caller can feed its watchdog.
    """
    if source == "camera" or source.startswith("camera:"):
        return _camera(source.partition(":")[2])
    folder = Path(source)
    if not folder.is_dir():
        raise SourceError(f"{source}: no such folder (and not 'camera' or 'camera:N')")
    return _folder(folder, after, watch, poll_s)


def _folder(folder: Path, after: str, watch: bool, poll_s: float) -> Iterator[tuple[str, np.ndarray | None]]:
    while True:
        names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
        names = [name for name in names if name > after]
        for name in names:
            yield name, read_grey(folder / name)
            after = name
        if not watch:
            return
        if not names:
            time.sleep(poll_s)
            yield "", None


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
