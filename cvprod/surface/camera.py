"""The camera: turns a surface (grey levels, float64) into the 8-bit picture that the line computer gets.

Everything is float64 until the one rounding at the end, so that a last-bit difference between two machines'
vector units can turn a grey level only with a chance of about one in 10^10 tiles.
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
        surface: float64 (H, W), grey levels under nominal light; overwritten.
        conditions: the dials.
        rng: source of the lamps' direction and of the noise.

    Returns:
        uint8 (H, W).
    """
    size = surface.shape[0]
    c = conditions
    img = surface
    if c.rotation:
        m = cv2.getRotationMatrix2D(((size - 1) / 2, (size - 1) / 2), c.rotation, 1.0)
        img = cv2.warpAffine(img, m, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    angle, centre, curve = rng.uniform(0, 2 * np.pi), rng.uniform(-0.5, 0.5, 2), rng.random()
    if c.uneven_light:
        t = np.linspace(-1, 1, size)
        ramp_x, ramp_y = 0.5 * np.cos(angle) * t, 0.5 * np.sin(angle) * t
        bowl_x, bowl_y = 0.4 * (t - centre[0]) ** 2, 0.4 * (t - centre[1]) ** 2
        fx = (1 - curve) * ramp_x + curve * bowl_x
        fy = (1 - curve) * ramp_y + curve * bowl_y
        light = fx[None, :] + fy[:, None]
        light *= -c.uneven_light
        light += 1.0
        np.maximum(light, 0.05, out=light)
        img *= light
    if c.defocus >= 0.3:
        img = cv2.GaussianBlur(img, (0, 0), c.defocus, borderType=cv2.BORDER_REFLECT_101)
    if c.motion_blur > 1:
        img = cv2.filter2D(img, -1, _smear(c.motion_blur), borderType=cv2.BORDER_REFLECT_101)
    noise = rng.standard_normal((size, size), dtype=np.float32)
    # one fused affine map: exposure and noise in, gain about mid-grey out
    img *= 2.0**c.exposure * c.gain
    img += noise * np.float64(c.noise * c.gain)
    img += 128.0 * (1 - c.gain)
    np.clip(img, 0.0, 255.0, out=img)
    out = np.rint(img, out=img).astype(np.uint8)
    if c.gamma != 1:
        table = np.rint(255.0 * (np.arange(256) / 255.0) ** (1.0 / c.gamma)).astype(np.uint8)
        out = table[out]
    if c.jpeg_quality is not None:
        _, coded = cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, int(c.jpeg_quality)])
        out = cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE)
    return out


def _smear(length: float) -> np.ndarray:
    """A vertical box of a fractional length as an odd-sized kernel, float64 (k, 1)."""
    half = (length - 1) / 2
    whole = int(half)
    k = np.ones(2 * whole + 3)
    k[0] = k[-1] = half - whole
    return (k / k.sum())[:, None]


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
