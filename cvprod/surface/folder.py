"""The reader's own images: a folder with one sub-folder for each class."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from .camera import INPUT_SIZE, to_input
from .dataset import SPLITS, TileSet
from .generator import CLASSES, TILE_SIZE

_SHARES = {"train": (0.0, 0.70), "val": (0.70, 0.85), "test": (0.85, 1.0)}


class ImageError(ValueError):
    """A file that should be an image is not a readable one."""


def _class_of(folder: str) -> int | None:
    name = folder.strip().lower().replace("-", "_").replace(" ", "_")
    return CLASSES.index(name) if name in CLASSES else None


def _position(label: int, file: Path) -> float:
    """A number in [0, 1) from class and file name: decides the split and the order, independent of other files."""
    h = hashlib.sha256(f"{CLASSES[label]}/{file.name}".encode()).digest()
    return int.from_bytes(h[:8], "big") / 2**64


def read_image(path: str | Path) -> np.ndarray:
    """One image file as an 8-bit grey picture.

    Colour and palette become luma, 16 bits are scaled to 8, transparency is dropped, the EXIF orientation is
    applied.

    Returns:
        uint8 (H, W).

    Raises:
        ImageError: not an image, cut short, or otherwise unreadable; the message names the file.
    """
    path = Path(path)
    try:
        with Image.open(path) as img:
            img.load()
            img = ImageOps.exif_transpose(img)
            if img.mode in ("I;16", "I;16B", "I;16L", "I;16N", "I"):
                wide = np.asarray(img).astype(np.int64)
                return np.clip(wide >> 8, 0, 255).astype(np.uint8)
            if img.mode == "F":
                return np.clip(np.rint(np.asarray(img)), 0, 255).astype(np.uint8)
            if img.mode == "P":
                img = img.convert("RGBA" if "transparency" in img.info else "RGB")
            return np.asarray(img.convert("L"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ImageError(f"{path} is not a readable image ({error}); repair or remove it") from error


def _files(root: Path) -> list[tuple[int, Path]]:
    if not root.exists():
        raise FileNotFoundError(f"{root} does not exist; CVPROD_DATA and --images take a folder of class folders")
    if not root.is_dir():
        raise NotADirectoryError(f"{root} is not a folder; it should hold one folder for each class")
    found = []
    folders = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith((".", "__")))
    unknown = [p.name for p in folders if _class_of(p.name) is None]
    if unknown:
        raise ValueError(
            f"unknown class folder {', '.join(unknown)} in {root}; known: {', '.join(CLASSES)} "
            "(hyphens, underscores and capitals do not matter)"
        )
    for folder in folders:
        label = _class_of(folder.name)
        found += [(label, f) for f in sorted(folder.iterdir()) if not f.name.startswith(".")]
    if not found:
        what = "has class folders but no image in them" if folders else "has no class folders"
        raise ValueError(f"{root} {what}; known classes: {', '.join(CLASSES)}")
    return found


def load_folder(
    path: str | Path, *, split: str | None = None, limit: int | None = None, size: int = INPUT_SIZE
) -> TileSet:
    """Read images from class folders, such as ``DIR/scratches/17.jpg``.

    Hidden files, and files beside the class folders, are passed over; every other file inside a class folder
    must be an image.

    Args:
        path: the folder. Class folders may be named with hyphens or underscores, in any case; some may miss.
        split: None for everything, or "train", "val", "test" (see :func:`cvprod.surface.tiles`).
        limit: at most so many, in an order that mixes the classes; None for all.
        size: 96 (by :func:`to_input`) or 224.

    Raises:
        FileNotFoundError, NotADirectoryError: nothing there, or not a folder.
        ValueError: unknown class folders (all are named, the known ones listed), no images, an empty split.
        ImageError: a file is not a readable image.
    """
    root = Path(path).expanduser()
    found = sorted(((_position(label, f), label, f) for label, f in _files(root)), key=lambda t: (t[0], t[2]))
    if split is not None:
        if split not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
        low, high = _SHARES[split]
        total = len(found)
        found = [t for t in found if low <= t[0] < high]
        if not found:
            raise ValueError(f"none of the {total} images in {root} falls into the {split} split; add images")
    found = found[:limit]
    images = np.empty((len(found), 1, size, size), np.uint8)
    for i, (_, _, file) in enumerate(found):
        images[i, 0] = _resize(read_image(file), size)
    labels = np.array([label for _, label, _ in found], np.int64)
    none = np.zeros((0, 4), np.int64)
    return TileSet(images, labels, [none] * len(found), tuple(f for _, _, f in found))


def _resize(image: np.ndarray, size: int) -> np.ndarray:
    if size == INPUT_SIZE:
        return to_input(image)
    if size != TILE_SIZE:
        raise ValueError(f"size must be {INPUT_SIZE} or {TILE_SIZE}, got {size!r}")
    import cv2

    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
