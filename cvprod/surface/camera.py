"""The camera: turns a surface (grey levels, float32) into the 8-bit picture that the line computer gets.

The same bytes must come out on every machine. numpy's elementwise float32 arithmetic is exact IEEE everywhere;
OpenCV's filters are not (their vector code fuses and reorders), so those run in float64, where a difference in the
last bit has no chance worth speaking of to turn a grey level.
"""

from __future__ import annotations

import cv2
import numpy as np

from .conditions import Conditions

INPUT_SIZE = 96
"""Edge length of what the networks see."""


def photograph(surface: np.ndarray, conditions: Conditions, rng: np.random.Generator) -> np.ndarray:
    """Take the picture.

    The order is the physical one: geometry, light, optics, exposure, sensor noise, electronics, compression.

    Args:
        surface: float32 (H, W), grey levels under nominal light, a tile or a frame; overwritten.
        conditions: the dials.
        rng: source of the lamps' direction and of the noise.

    Returns:
        uint8 (H, W).
    """
    height, width = surface.shape
    c = conditions
    img = surface
    if c.rotation:
        m = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), c.rotation, 1.0)
        img = cv2.warpAffine(
            img.astype(np.float64), m, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
        ).astype(np.float32)
    angle, centre, curve = rng.uniform(0, 2 * np.pi), rng.uniform(-0.7, 0.7, 2), rng.random() ** 2
    if c.uneven_light:
        x, y = np.linspace(-1, 1, width), np.linspace(-1, 1, height)
        fx = (1 - curve) * 0.5 * np.cos(angle) * x + curve * 0.4 * (x - centre[0]) ** 2
        fy = (1 - curve) * 0.5 * np.sin(angle) * y + curve * 0.4 * (y - centre[1]) ** 2
        light = (1 - c.uneven_light * fx).astype(np.float32)[None, :] - (c.uneven_light * fy).astype(np.float32)[
            :, None
        ]
        np.maximum(light, np.float32(0.05), out=light)
        img *= light
    if c.defocus >= 0.3:
        img = cv2.GaussianBlur(img.astype(np.float64), (0, 0), c.defocus, borderType=cv2.BORDER_REFLECT_101).astype(
            np.float32
        )
    if c.motion_blur > 1:
        img = _smear(img, c.motion_blur)
    img *= np.float32(2.0**c.exposure * c.gain)
    img += _noise(rng, height, width, c.noise * c.gain)
    img += np.float32(128.0 * (1 - c.gain))
    np.clip(img, 0.0, 255.0, out=img)
    out = np.rint(img, out=img).astype(np.uint8)
    if c.gamma != 1:
        table = np.rint(255.0 * (np.arange(256) / 255.0) ** (1.0 / c.gamma)).astype(np.uint8)
        out = table[out]
    if c.jpeg_quality is not None:
        _, coded = cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, int(c.jpeg_quality)])
        out = cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE)
    return out


def _noise(rng: np.random.Generator, height: int, width: int, sigma: float) -> np.ndarray:
    """Fresh sensor noise, float32 (height, width): the sum of four random bytes is as good as Gaussian, and quick."""
    raw = np.frombuffer(rng.bytes(4 * height * width), np.uint8).reshape(4, height, width)
    total = raw[0].astype(np.int16)
    for k in (1, 2, 3):
        total += raw[k]
    total -= 510  # the mean; the variance of one byte is (256**2 - 1) / 12
    return total * np.float32(sigma / np.sqrt(4 * (256**2 - 1) / 12))


def _smear(img: np.ndarray, length: float) -> np.ndarray:
    """A vertical moving average over a fractional number of rows, float32 in and out."""
    half = (length - 1) / 2
    whole = int(half)
    reach = whole + 1
    padded = np.pad(img, ((reach, reach), (0, 0)), mode="reflect")
    n = len(img)
    out = padded[1 : 1 + n] * np.float32(1.0)
    for k in range(2, 2 * reach):
        out += padded[k : k + n]
    edge = padded[:n] + padded[2 * reach :]
    edge *= np.float32(half - whole)
    out += edge
    out *= np.float32(1 / length)
    return out


def to_input(tile: np.ndarray) -> np.ndarray:
    """What every network of the book gets to see: a grey picture brought to 96 x 96 by area averaging.

    This is the one place where it is done, in training, tests and serving alike. From 224 px and 200 px the
    exact averages never fall on a tie (their denominators are odd), so no rounding depends on the machine.

    Args:
        tile: uint8 (H, W), any size from 1 x 1.

    Returns:
        uint8 (96, 96).

    Raises:
        ValueError: not a two-dimensional uint8 array.
    """
    if not isinstance(tile, np.ndarray) or tile.dtype != np.uint8 or tile.ndim != 2 or 0 in tile.shape:
        got = f"{tile.dtype} {tile.shape}" if isinstance(tile, np.ndarray) else type(tile).__name__
        raise ValueError(f"a tile is a uint8 array of shape (H, W), got {got}")
    if tile.shape == (INPUT_SIZE, INPUT_SIZE):
        return tile.copy()
    return cv2.resize(tile, (INPUT_SIZE, INPUT_SIZE), interpolation=cv2.INTER_AREA)
