"""A bank of random fields from which textures and defects are mixed.

Filtering fresh noise for every tile would cost more than all the rest together. So periodic Gaussian fields
are made once per process (a fraction of a second) and every tile cuts its own windows from them, at random
places and mirrored at random: half a million windows of each of the half dozen fields that a tile mixes.

The fields are rounded to int16, which makes them the same bytes on every machine although the Fourier
transforms that made them may differ in the last bit.
"""

from __future__ import annotations

from functools import cache

import numpy as np

PERIOD = 512
UNIT = 4096  # one standard deviation, as stored
_PAD = 224

# name: (sigma along x, sigma along y, angle in degrees) of the Gaussian smoothing, in pixels
_SPECS: dict[str, tuple[float, float, float]] = {
    "grain": (0.55, 0.55, 0.0),
    "grain2": (1.0, 1.0, 0.0),
    "across": (2.6, 0.6, 0.0),  # short grain across the rolling direction
    "along": (0.7, 5.0, 0.0),  # rolling grain
    "lines": (0.9, 40.0, 0.0),  # roll marks
    "brush+": (14.0, 0.8, 22.0),
    "brush-": (14.0, 0.8, -15.0),
    "dash": (1.7, 0.6, 0.0),
    "pits0": (0.95, 1.15, 0.0),
    "pitsv": (1.1, 2.1, 0.0),
    "pits1": (1.3, 1.5, 0.0),
    "pits2": (1.8, 2.3, 0.0),
    "pits3": (2.8, 3.4, 0.0),
    "fleck1": (2.6, 1.2, 0.0),
    "fleck2": (3.8, 1.7, 8.0),
    "fleck3": (3.2, 1.9, -20.0),
    "clot": (5.5, 3.2, 0.0),
    "mottle": (5.0, 5.0, 0.0),
    "blotch": (11.0, 9.0, 0.0),
    "cloud": (16.0, 24.0, 0.0),
    "cloud2": (24.0, 34.0, 0.0),
    "haze": (75.0, 75.0, 0.0),
    "peel": (2.2, 2.2, 0.0),  # orange peel of the other grades
}
NAMES = tuple(_SPECS)


@cache
def bank() -> dict[str, np.ndarray]:
    """The fields by name: int16, (PERIOD + 224, PERIOD + 224), mean 0, standard deviation UNIT, periodic."""
    rng = np.random.Generator(np.random.PCG64(20260101))
    f = np.fft.fftfreq(PERIOD)
    fx, fy = f[None, :], f[:, None]
    out = {}
    for name, (sx, sy, angle) in _SPECS.items():
        a = np.deg2rad(angle)
        u = fx * np.cos(a) - fy * np.sin(a)
        v = fx * np.sin(a) + fy * np.cos(a)
        transfer = np.exp(-2 * np.pi**2 * ((sx * u) ** 2 + (sy * v) ** 2))
        transfer[0, 0] = 0.0
        field = np.fft.ifft2(np.fft.fft2(rng.standard_normal((PERIOD, PERIOD))) * transfer).real
        field *= UNIT / field.std()
        out[name] = np.pad(np.rint(field).astype(np.int16), ((0, _PAD), (0, _PAD)), mode="wrap")
    return out


def cut(name: str, rng: np.random.Generator, size: int) -> np.ndarray:
    """A random window of a field, int16 (size, size), a view; divide by :data:`UNIT` for unit variance."""
    k = int(rng.integers(2 * PERIOD * PERIOD))
    k, y = divmod(k, PERIOD)
    mirrored, x = divmod(k, PERIOD)
    window = bank()[name][y : y + size, x : x + size]
    return window[::-1] if mirrored else window


def wide(name: str, rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A field of any size, float32 (height, width), in units of the bank.

    Windows of one period side by side. Where two of them meet they fade into each other, by weights whose squares add
    up to one: the variance stays, so no seam can be seen and, unlike in one long periodic field, nothing comes again.
    """
    fade = 64
    rise = np.sqrt((np.arange(fade, dtype=np.float32) + np.float32(0.5)) / np.float32(fade))
    out = np.zeros((height, width), np.float32)
    for start in range(0, width, PERIOD - fade):
        k = int(rng.integers(PERIOD * PERIOD))
        rows, columns = (np.arange(n) + k0 for n, k0 in ((height, k % PERIOD), (PERIOD, k // PERIOD)))
        window = bank()[name][np.ix_(rows % PERIOD, columns % PERIOD)].astype(np.float32)
        if start:
            window[:, :fade] *= rise
        if start + PERIOD - fade < width:
            window[:, -fade:] *= rise[::-1]
        end = min(start + PERIOD, width)
        out[:, start:end] += window[:, : end - start]
    return out


def add(target: np.ndarray, weight: float, name: str, rng: np.random.Generator, scratch: np.ndarray) -> None:
    """``target += weight * field`` on float32 arrays of one shape, without a temporary for a tile."""
    height, width = target.shape
    field = cut(name, rng, height) if height == width <= _PAD else wide(name, rng, height, width)
    np.multiply(field, np.float32(weight / UNIT), out=scratch)
    target += scratch


def profile(rng: np.random.Generator, knots: int, size: int) -> np.ndarray:
    """A smooth random curve, float32 (size,), about unit variance, with that many degrees of freedom."""
    values = rng.standard_normal(knots + 3)
    t = np.arange(size) * (knots / size)
    i = t.astype(np.int64)
    t -= i
    # uniform cubic B-spline: smooth, and cheap enough to do by hand
    curve = (
        values[i] * (1 - t) ** 3
        + values[i + 1] * (3 * t**3 - 6 * t**2 + 4)
        + values[i + 2] * (-3 * t**3 + 3 * t**2 + 3 * t + 1)
        + values[i + 3] * t**3
    )
    return (curve / 4.0).astype(np.float32)
