"""Preprocessing skew: a JPEG, brought to the network in ways that people meet in practice.

Training saw one path: grey pixels, area averaging from 224 to 96 (`cvprod.surface.to_input`). A server, a phone app or
a colleague's script may take another, and nothing crashes: accuracy just goes. Every path here takes the bytes of a
JPEG of a 224x224 tile and returns the network's input (1, 96, 96), uint8 or float32.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd
import simplejpeg
import torch
from PIL import ExifTags, Image
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.transforms.v2 import functional as F

from cvprod.surface import INPUT_SIZE, TileSet, to_input

Path = Callable[[bytes], np.ndarray]
_SIZE = (INPUT_SIZE, INPUT_SIZE)
#: Light of a warm lamp, as R, G, B gains that leave the luma of a grey tile as it was: 0.299 R + 0.587 G + 0.114 B = 1.
WARM = np.array([1.1, 1.0, (1 - 0.299 * 1.1 - 0.587) / 0.114])


def jpeg(tile: np.ndarray, quality: int = 90, *, tint: np.ndarray | None = None) -> bytes:
    """Encode a grey tile uint8 (H, W): as grey, or with `tint` (R, G, B gains) as a colour picture under that lamp."""
    if tint is None:
        return simplejpeg.encode_jpeg(np.ascontiguousarray(tile[..., None]), quality, colorspace="GRAY")
    colour = np.clip(tile[..., None] * tint, 0, 255).round().astype(np.uint8)
    return simplejpeg.encode_jpeg(np.ascontiguousarray(colour), quality, colorspace="RGB", colorsubsampling="444")


def turned(tile: np.ndarray, quality: int = 90) -> bytes:
    """A grey tile as a phone held upright stores it: the pixels lie on their side, and EXIF says to turn them back."""
    data, exif = jpeg(np.rot90(tile), quality), Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # turn by 90 degrees clockwise to show
    note = exif.tobytes()
    return data[:2] + b"\xff\xe1" + (len(note) + 2).to_bytes(2, "big") + note + data[2:]


def grey(data: bytes) -> np.ndarray:
    """The reference decoder: OpenCV, grey, uint8 (H, W)."""
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)


def _decoded(decode: Callable[[bytes], np.ndarray]) -> Path:
    return lambda data: to_input(np.ascontiguousarray(decode(data)))[None]


def _resized(resize: Callable[[np.ndarray], np.ndarray]) -> Path:
    return lambda data: np.ascontiguousarray(resize(grey(data)))[None]


def _opencv(method: int) -> Path:
    return _resized(lambda tile: cv2.resize(tile, _SIZE, interpolation=method))


def _pillow(method: Image.Resampling) -> Path:
    return _resized(lambda tile: np.asarray(Image.fromarray(tile).resize(_SIZE, method)))


def _torchvision(antialias: bool) -> Path:
    return _resized(lambda tile: F.resize(torch.from_numpy(tile)[None], _SIZE, antialias=antialias).numpy()[0])


def _by_torchvision(data: bytes) -> np.ndarray:
    return decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8), ImageReadMode.GRAY).numpy()[0]


def _by_pillow(data: bytes) -> np.ndarray:
    """Pillow leaves the turning that EXIF asks for to `ImageOps.exif_transpose`."""
    return np.asarray(Image.open(io.BytesIO(data)))


def _video(tile: np.ndarray) -> np.ndarray:
    """Luma as video has it, black at 16 and white at 235."""
    return np.rint(16 + tile * (219 / 255)).astype(np.uint8)


def _stretched(tile: np.ndarray) -> np.ndarray:
    """Luma of the full range, stretched by somebody who took it for video's."""
    return np.rint(np.clip((tile - 16.0) * (255 / 219), 0, 255)).astype(np.uint8)


def _middle(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape
    left = (width - height) // 2
    return np.ascontiguousarray(picture[:, left : left + height])


def _barred(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape
    above = (width - height) // 2
    return cv2.copyMakeBorder(picture, above, width - height - above, 0, 0, cv2.BORDER_CONSTANT, value=0)


def _draft(data: bytes) -> np.ndarray:
    """Pillow's scaled decode: libjpeg leaves the finest frequencies out, the picture comes at half its size."""
    image = Image.open(io.BytesIO(data))
    image.draft("L", (112, 112))
    return np.asarray(image)


def _luma(order: str) -> Path:
    def path(data: bytes) -> np.ndarray:
        colour = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        return to_input(cv2.cvtColor(colour, getattr(cv2, f"COLOR_{order}2GRAY")))[None]

    return path


REFERENCE = "as in training"
#: Kind of mismatch -> name -> path. The first is what training saw.
PATHS: dict[str, dict[str, Path]] = {
    "": {REFERENCE: _decoded(grey)},
    "JPEG decoder": {
        "Pillow": _decoded(_by_pillow),
        "torchvision": _decoded(_by_torchvision),
        "simplejpeg, fast DCT": _decoded(
            lambda data: simplejpeg.decode_jpeg(data, colorspace="GRAY", fastdct=True)[..., 0]
        ),
        "Pillow, half-size decode": _decoded(_draft),
    },
    "resize": {
        "OpenCV linear": _opencv(cv2.INTER_LINEAR),
        "OpenCV nearest": _opencv(cv2.INTER_NEAREST),
        "OpenCV cubic": _opencv(cv2.INTER_CUBIC),
        "Pillow box": _pillow(Image.Resampling.BOX),
        "Pillow bilinear": _pillow(Image.Resampling.BILINEAR),
        "Pillow Lanczos": _pillow(Image.Resampling.LANCZOS),
        "torchvision, antialias": _torchvision(True),
        "torchvision, no antialias": _torchvision(False),
    },
    "pixel values": {
        "0..1 in place of 0..255": lambda data: to_input(grey(data))[None].astype(np.float32) / 255,
        "normalised twice": lambda data: (to_input(grey(data))[None].astype(np.float32) - 128) / 64,
        "16..235 in place of 0..255": lambda data: to_input(_video(grey(data)))[None],
        "0..255 taken for 16..235": lambda data: to_input(_stretched(grey(data)))[None],
        "inverted": lambda data: 255 - to_input(grey(data))[None],
    },
    "geometry": {"rows and columns swapped": lambda data: np.ascontiguousarray(to_input(grey(data)).T)[None]},
}
#: The same on colour pictures of the tiles under a warm lamp: other files, hence a first path of their own.
COLOUR: dict[str, dict[str, Path]] = {
    "": {"colour order right": _luma("BGR")},
    "colour order": {"colour order swapped": _luma("RGB")},
}
#: The same on files whose pixels lie on their side, with the note that says so.
TURNED: dict[str, dict[str, Path]] = {
    "": {"EXIF obeyed": _decoded(grey)},
    "geometry": {"EXIF ignored": _decoded(_by_pillow)},
}
#: On pictures of 4:3, of which training saw the middle square.
WIDE: dict[str, dict[str, Path]] = {
    "": {"middle square": _resized(lambda picture: to_input(_middle(picture)))},
    "geometry": {
        "4:3 squashed, not cropped": _resized(to_input),
        "4:3 with bars, not cropped": _resized(lambda picture: to_input(_barred(picture))),
    },
}


@dataclass(frozen=True)
class Skew:
    """What one mismatch does to the answers and to the network's input.

    changed: share of answers that differ. lost, won: tiles that were right before and are wrong now, and the reverse.
    moved: share of the input's pixels that differ; pixels, largest: their mean and largest difference [grey levels].
    A path without a kind is one that others are held against.
    """

    kind: str
    name: str
    changed: float
    lost: int
    won: int
    moved: float
    pixels: float
    largest: float


def measure(predict: Callable[[np.ndarray], np.ndarray], camera: TileSet, *, quality: int = 90) -> list[Skew]:
    """Every path on JPEGs of camera tiles (224), against the right path on the same bytes.

    predict: uint8 or float32 (N, 1, 96, 96) -> logits (N, 7). Paths of `COLOUR`, `TURNED` and `WIDE` read other files
    than the rest, made of the same tiles, and are held against the right path on those: tinted ones, ones that lie on
    their side, and ones of which an eighth is cut off above and below.
    """
    tiles = camera.images[:, 0]
    eighth = tiles.shape[1] // 8
    files = {
        "plain": (PATHS, [jpeg(tile, quality) for tile in tiles]),
        "warm": (COLOUR, [jpeg(tile, quality, tint=WARM) for tile in tiles]),
        "turned": (TURNED, [turned(tile, quality) for tile in tiles]),
        "wide": (WIDE, [jpeg(tile[eighth:-eighth], quality) for tile in tiles]),
    }
    found = [skew for paths, data in files.values() for skew in _against_first(predict, paths, data, camera.labels)]
    order = list(dict.fromkeys(skew.kind for skew in found))
    return sorted(found, key=lambda skew: order.index(skew.kind))


def _against_first(predict, paths: Mapping[str, Mapping[str, Path]], data: list[bytes], labels) -> list[Skew]:
    """Every path on the same files, against the first of them."""
    jobs = [(kind, name, path) for kind, group in paths.items() for name, path in group.items()]
    base = _inputs(jobs[0][2], data)
    wanted = predict(base).argmax(1)
    found = []
    for kind, name, path in jobs:
        x = _inputs(path, data)
        answer, off = predict(x).argmax(1), np.abs(x.astype(np.float32) - base)
        lost, won = (wanted == labels) & (answer != labels), (wanted != labels) & (answer == labels)
        pixels = float((off > 0).mean()), float(off.mean()), float(off.max())
        found.append(Skew(kind, name, float((answer != wanted).mean()), int(lost.sum()), int(won.sum()), *pixels))
    return found


def _inputs(path: Path, data: list[bytes]) -> np.ndarray:
    with ThreadPoolExecutor() as pool:  # decoders and resizes give up the interpreter's lock
        return np.stack(list(pool.map(path, data)))


def table(found: list[Skew]) -> pd.DataFrame:
    """The mismatches as rows by name, shares in %."""
    rows = [(s.kind, s.name, s.changed * 100, s.lost, s.won, s.moved * 100, s.pixels) for s in found if s.kind]
    answers, pixels = ["answers changed, %", "tiles lost", "tiles won"], ["pixels changed, %", "mean pixel difference"]
    heads = ["kind", "path", *answers, *pixels]
    return pd.DataFrame(rows, columns=heads).set_index("path")


def by_name(found: list[Skew]) -> Mapping[str, Skew]:
    """The same results by name."""
    return {skew.name: skew for skew in found}
