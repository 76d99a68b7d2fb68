"""The reader's own images: a folder with one sub-folder for each class."""

from __future__ import annotations

import hashlib
import os
import unicodedata
import warnings
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image, ImageOps

from .camera import INPUT_SIZE, to_input
from .generator import CLASSES
from .tileset import TileSet, check_count, check_size, check_split

_16_BIT = ("I;16", "I;16B", "I;16L", "I;16N")
_ORIENTATION = 0x0112  # of EXIF
_BITS, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0  # tags of a TIFF file, and a value of the second
#: What operating systems, file shares and disks leave in folders; in small letters.
_LITTER = frozenset({
    "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "lost+found", "@eadir", "#recycle", "$recycle.bin",
    "system volume information",
})  # fmt: skip
#: Formats that may hold several pictures. A phone's MPO does, too, but there the first one is the picture.
_SERIES = ("TIFF", "GIF", "WEBP", "PNG", "AVIF")
_COLOUR = ("RGB", "RGBA", "RGBX", "P", "PA", "CMYK", "YCbCr", "HSV")
_SHARES = {"train": (0.0, 0.70), "val": (0.70, 0.85), "test": (0.85, 1.0)}


class ImageError(ValueError):
    """A file that should be an image is not a readable one."""


def _class_of(folder: str) -> int | None:
    name = unicodedata.normalize("NFC", folder).strip().lower().replace("-", "_").replace(" ", "_")
    return CLASSES.index(name) if name in CLASSES else None


def _position(label: int, file: Path) -> float:
    """A number in [0, 1) from class and file name: decides the split and the order, independent of other files."""
    h = hashlib.sha256(f"{CLASSES[label]}/".encode() + os.fsencode(unicodedata.normalize("NFC", file.name))).digest()
    return int.from_bytes(h[:8], "big") / 2**64


def read_image(path: str | Path) -> np.ndarray:
    """One image file as an 8-bit grey picture.

    Colour and palette become luma, transparency is dropped, the EXIF orientation is applied. What is not 8 bits:

    * 16 bits become 8 by their upper byte: 0..65535 is the scale, however bright the picture. A camera's 12 bits stored
      in 16 as they are (0..4095) come out nearly black, and nothing in the file tells them from a dark picture of 16
      bits: multiply them by 16 first, so that all pictures of the camera keep one scale. :func:`load_folder` warns.
    * 32-bit integers are grey levels where none is above 255, and 16 bits as above where none is above 65535.
    * Floats are 0..1 where none is above 1, and grey levels 0..255 otherwise.
    * A TIFF file that says how many bits it has, and that white is zero, is read as it says.

    A JPEG is read by the decoder that the service uses, which refuses a scan that ends too soon; others fill the
    missing part with grey, which passes for clean steel.

    Returns:
        uint8 (H, W).

    Raises:
        ImageError: not an image, cut short, values beyond those scales or not finite, or otherwise unreadable; the
            message names the file.
    """
    path = Path(path)
    try:
        if not path.is_file():  # opening a pipe would wait for ever
            raise ImageError(f"{path} is not an image file but a folder, a pipe, or not there")
        with Image.open(path) as img:
            kind = img.format
            if kind in _SERIES and getattr(img, "n_frames", 1) > 1:
                raise ImageError(f"{path} holds {img.n_frames} pictures; save each as a file of its own")
            if kind == "JPEG" and img.mode in ("L", "RGB"):
                return _jpeg(path, img)
            tags = dict(img.tag_v2) if kind == "TIFF" else {}
            img.load()
            img = ImageOps.exif_transpose(img)
            if kind == "TIFF" and img.mode in _16_BIT:
                return _tiff(np.asarray(img).astype(np.int64), tags)
            # Mode I is 16 bits for certain from PGM files, which Pillow scales to 0..65535, and from PNG.
            if img.mode in _16_BIT or (img.mode == "I" and kind in ("PNG", "PPM")):
                return (np.asarray(img).astype(np.int64) >> 8).astype(np.uint8)
            if img.mode in ("I", "F"):
                return _scaled(np.asarray(img), path)
            if img.mode == "LAB":
                raise ImageError(f"{path} is in LAB colours, which cannot be read; save it as grey or RGB")
            if img.mode == "P":
                img = img.convert("RGBA" if "transparency" in img.info else "RGB")
            return np.asarray(img.convert("L"))
    except ImageError:
        raise
    except Exception as error:  # Pillow's decoders fail in many ways on a damaged file
        why = str(error) or type(error).__name__
        raise ImageError(f"{path} is not a readable image ({why}); repair or remove it") from error


def read_colour(path: str | Path) -> np.ndarray:
    """One image file as 8-bit RGB, by the rules of `read_image`; what has no colour is grey in all three channels.

    Returns:
        uint8 (H, W, 3).

    Raises:
        ImageError: as `read_image` does.
    """
    grey = read_image(path)  # refuses what is damaged, and scales what is not 8 bits
    with Image.open(path) as img:
        if img.mode not in _COLOUR:
            return np.repeat(grey[:, :, None], 3, 2)
        img = ImageOps.exif_transpose(img)
        if img.mode == "P" and "transparency" in img.info:
            img = img.convert("RGBA")
        return np.asarray(img.convert("RGB"))


def _jpeg(path: Path, opened: Image.Image) -> np.ndarray:
    """Luma as the file has it, upright."""
    grey = Image.fromarray(simplejpeg.decode_jpeg(path.read_bytes(), colorspace="GRAY")[:, :, 0])
    grey.getexif()[_ORIENTATION] = opened.getexif().get(_ORIENTATION, 1)
    return np.asarray(ImageOps.exif_transpose(grey))


def _tiff(values: np.ndarray, tags: dict) -> np.ndarray:
    """More than 8 bits of a TIFF file, by its own word on how many there are and which end is white."""
    bits = tags.get(_BITS, 16)
    bits = int(bits[0] if isinstance(bits, tuple) else bits)
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        values = (1 << bits) - 1 - values
    return np.clip(values >> max(0, bits - 8), 0, 255).astype(np.uint8)


def _scaled(values: np.ndarray, path: Path) -> np.ndarray:
    """32-bit integers or floats, (H, W), as uint8."""
    if not np.isfinite(values).all():
        raise ImageError(f"{path} holds values that are not finite; save it as 8 or 16 bits")
    low, high = values.min(), values.max()
    whole = values.dtype.kind == "i"
    if low < 0 or high > (65535 if whole else 255):
        known = "0 to 255 or 0 to 65535" if whole else "0 to 1 or 0 to 255"
        raise ImageError(f"{path} holds values from {low:g} to {high:g}; {known} can be read. Save it as 8 or 16 bits")
    if whole:
        return (values >> 8 if high > 255 else values).astype(np.uint8)
    return np.rint(values * 255 if high <= 1 else values).astype(np.uint8)


def is_litter(path: Path) -> bool:
    """Whether a file or folder is hidden, or left there by an operating system, a file share or a disk."""
    return path.name.startswith((".", "__")) or path.name.lower() in _LITTER


def _files(root: Path) -> list[tuple[int, Path]]:
    if not root.exists():
        raise FileNotFoundError(f"{root} does not exist; CVPROD_DATA and --images take a folder of class folders")
    if not root.is_dir():
        raise NotADirectoryError(f"{root} is not a folder; it should hold one folder for each class")
    found = []
    folders = sorted(p for p in root.iterdir() if p.is_dir() and not is_litter(p))
    unknown = [p.name for p in folders if _class_of(p.name) is None]
    if unknown:
        raise ValueError(
            f"unknown class folder {', '.join(unknown)} in {root}; known: {', '.join(CLASSES)} "
            "(hyphens, underscores and capitals do not matter)"
        )
    for folder in folders:
        label = _class_of(folder.name)
        found += [(label, f) for f in sorted(folder.iterdir()) if not is_litter(f)]
    if not found:
        what = "has class folders but no image in them" if folders else "has no class folders"
        raise ValueError(f"{root} {what}; known classes: {', '.join(CLASSES)}")
    return found


def load_folder(
    path: str | Path, *, split: str | None = None, limit: int | None = None, size: int = INPUT_SIZE
) -> TileSet:
    """Read images from class folders, such as ``DIR/scratches/17.jpg``.

    Hidden files, what operating systems leave (Thumbs.db and its like), and files beside the class folders are passed
    over; every other file inside a class folder must be an image.

    Args:
        path: the folder. Class folders may be named with hyphens or underscores, in any case; some may miss.
        split: None for everything, or "train", "val", "test" (see :func:`cvprod.surface.tiles`).
        limit: at most so many, in an order that mixes the classes; None for all.
        size: 96 (by :func:`to_input`) or 224.

    Raises:
        FileNotFoundError, NotADirectoryError: nothing there, or not a folder.
        ValueError: an option is out of its range, unknown class folders (all are named, the known ones listed), no
            images, an empty split.
        ImageError: a file is not a readable image.

    Warns (UserWarning) where no picture has a pixel above 15 of 255, as 12 bits stored in 16 do.
    """
    if split is not None:
        check_split(split)
    if limit is not None:
        check_count("limit", limit)
    check_size(size)
    try:
        root = Path(path).expanduser()
    except RuntimeError as error:  # ~somebody, who is not known here
        raise FileNotFoundError(f"{path} does not exist: {error}") from error
    found = sorted(((_position(label, f), label, f) for label, f in _files(root)), key=lambda t: (t[0], t[2]))
    if split is not None:
        low, high = _SHARES[split]
        total = len(found)
        found = [t for t in found if low <= t[0] < high]
        if not found:
            raise ValueError(f"none of the {total} images in {root} falls into the {split} split; add images")
    found = found[:limit]
    images = np.empty((len(found), 1, size, size), np.uint8)
    for i, (_, _, file) in enumerate(found):
        images[i, 0] = _resize(read_image(file), size)
    if images.max() < 16:
        warnings.warn(
            f"all {len(found)} images from {root} are nearly black (no pixel above 15 of 255): 12 bits stored in 16 "
            "look so; multiply them by 16",
            stacklevel=2,
        )
    labels = np.array([label for _, label, _ in found], np.int64)
    none = np.zeros((0, 4), np.int64)
    return TileSet(images, labels, [none] * len(found), tuple(f for _, _, f in found))


def _resize(image: np.ndarray, size: int) -> np.ndarray:
    if size == INPUT_SIZE:
        return to_input(image)
    import cv2

    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
