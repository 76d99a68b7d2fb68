"""The six defects. Each function draws one kind into a tile in place and returns where it is.

All take ``(tile, rng, strength)``: ``tile`` float64 (H, W) in grey levels; ``strength`` from 0 (invisible) to 1
(as plain as it gets). They return a mask, float64 or uint8 (H, W), that is above zero where the defect is.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from .fields import UNIT, cut, profile

_SHIFT = 3  # cv2 draws with this many fractional bits: integers, hence the same everywhere


def _fixed(points: np.ndarray) -> np.ndarray:
    return np.rint(points * (1 << _SHIFT)).astype(np.int32)


def _lines(mask: np.ndarray, paths: np.ndarray, value: float, width: int) -> None:
    cv2.polylines(mask, list(_fixed(paths)), False, int(value), int(width), cv2.LINE_AA, _SHIFT)


def _walks(
    rng: np.random.Generator, n: int, steps: int, start: np.ndarray, heading: np.ndarray, step: float, turn: float
) -> np.ndarray:
    """n random walks whose heading wanders about a preferred one: float64 (n, steps + 1, 2), x and y."""
    angle = heading[:, None] + turn * rng.standard_normal((n, steps))
    d = np.stack([np.cos(angle), np.sin(angle)], axis=-1) * step
    return np.concatenate([start[:, None], start[:, None] + np.cumsum(d, axis=1)], axis=1)


def _darken(tile: np.ndarray, alpha: np.ndarray, depth: float) -> None:
    """``tile *= 1 - depth * alpha``; destroys nothing but tile."""
    tile *= 1.0 - depth * alpha


def _soft(field: np.ndarray, threshold: float, width: float) -> np.ndarray:
    """0 below the threshold, 1 one width above it, linear between: float64. Threshold in std deviations."""
    out = field * (1.0 / (UNIT * width))
    out -= threshold / width
    return np.clip(out, 0.0, 1.0, out=out)


def _region(rng: np.random.Generator, size: int, share_whole: float) -> np.ndarray | None:
    """Where on the tile a scattered defect sits: None for everywhere, else a soft vertical band (1, W)."""
    if rng.random() < share_whole:
        return None
    x = np.arange(size) / size
    centre, half, edge = rng.uniform(0, 1), rng.uniform(0.15, 0.45), rng.uniform(0.02, 0.25)
    return np.clip((half + edge / 2 - np.abs(x - centre)) / edge, 0.0, 1.0)[None, :]


def crazing(tile: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """A net of fine dark cracks, mostly across the strip, some of them branching."""
    size = tile.shape[0]
    n = int(rng.integers(7, 34))
    steps = int(rng.integers(6, 16))
    mask = np.zeros((size, size), np.uint8)
    start = rng.uniform(-0.05, 1.0, (n, 2)) * size
    heading = rng.normal(rng.uniform(-0.35, 0.35), 0.45, n) + np.pi * (rng.random(n) < 0.5)
    walk = _walks(rng, n, steps, start, heading, rng.uniform(2.2, 4.5), 0.75)
    twigs = _walks(rng, n // 2, steps // 2, walk[: n // 2, steps // 2], heading[: n // 2] + 1.2, 3.0, 0.7)
    third = n // 3
    _lines(mask, walk[third:], 190, 1)
    _lines(mask, twigs, 170, 1)
    _lines(mask, walk[:third], 255, 2)
    alpha = mask * (1 / 255)
    wear = cut("mottle", rng, size) * (0.45 / UNIT)
    wear += 0.8
    np.clip(wear, 0.0, 1.0, out=wear)
    alpha *= wear
    _darken(tile, alpha, 0.20 + 0.55 * strength)
    # the finest cracks are below the drawing's resolution: short dark dashes
    _darken(tile, _soft(cut("fleck1", rng, size), rng.uniform(1.5, 2.1), 0.8), 0.45 * strength)
    return mask


def inclusion(tile: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Slag drawn out by rolling: thin dark spindles, in a column, along the strip."""
    size = tile.shape[0]
    n = 1 + int(rng.integers(1, 14) * rng.random())
    knots = 13
    t = np.linspace(-1, 1, knots)
    length = np.minimum(rng.uniform(8, 28, n) * np.exp(rng.uniform(0, 1.3, n)), 200)
    width = rng.uniform(1.2, 4.0, n) * np.exp(0.5 * rng.random(n) * (length > 30))
    column = rng.uniform(0.1, 0.9, 2) * size
    x = column[(rng.random(n) < 0.25).astype(np.int64)] + rng.normal(0, rng.uniform(2, 22), n)
    y = rng.uniform(0.02, 0.98, n) * size
    x, y = np.clip(x, 4, size - 4), np.clip(y, 4, size - 4)
    profile_ = (1 - np.abs(t) ** rng.uniform(1.3, 3.0))[None] * width[:, None]
    wobble = np.cumsum(rng.standard_normal((n, knots)), axis=1) * rng.uniform(0.1, 0.8)
    left = x[:, None] + wobble - profile_ * rng.uniform(0.5, 1.5, (n, knots))
    right = x[:, None] + wobble + profile_ * rng.uniform(0.5, 1.5, (n, knots))
    yy = y[:, None] + t[None] * (length / 2)[:, None]
    shapes = np.concatenate([np.stack([left, yy], -1), np.stack([right, yy], -1)[:, ::-1]], axis=1)
    mask = np.zeros((size, size), np.uint8)
    level = rng.uniform(120, 255, n)
    for shape, value in zip(_fixed(shapes), level, strict=True):
        cv2.fillPoly(mask, [shape], int(value), cv2.LINE_AA, _SHIFT)
    alpha = cv2.GaussianBlur(mask * (1 / 255), (0, 0), rng.uniform(0.7, 1.8))
    depth = 0.14 + 0.46 * strength
    if rng.random() < 0.3:  # a stain around the column
        xs = np.arange(size)
        stain = np.exp(-(((xs - column[0]) / rng.uniform(6, 22)) ** 2)) * rng.uniform(0.1, 0.4)
        tile *= 1.0 - depth * stain[None, :]
    _darken(tile, alpha, depth)
    return mask


def patches(tile: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Large dark islands of scale with soft, ragged edges."""
    size = tile.shape[0]
    field = cut("cloud" if rng.random() < 0.6 else "cloud2", rng, size) * 1.0
    field += cut("mottle", rng, size) * rng.uniform(0.08, 0.30)
    field += cut("grain2", rng, size) * rng.uniform(0.05, 0.25)
    coarse = np.sort(field[::8, ::8], axis=None)
    share = rng.uniform(0.06, 0.45)
    threshold = coarse[int((1 - share) * (coarse.size - 1))] / UNIT
    alpha = _soft(field, threshold, rng.uniform(0.25, 0.9))
    _darken(tile, alpha, 0.30 + 0.50 * strength)
    return alpha


def pitted_surface(tile: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Many small dark pits, dense over the tile or in a band; sometimes with corroded islands or lines."""
    size = tile.shape[0]
    kind = rng.random()
    region = _region(rng, size, 0.6)
    fine = "pits1" if rng.random() < 0.5 else "pits2"
    alpha = _soft(cut(fine, rng, size), rng.uniform(0.6, 1.5), rng.uniform(0.5, 1.1))
    alpha *= rng.uniform(0.3, 0.7)
    if kind < 0.45:
        big = _soft(cut("pits3", rng, size), rng.uniform(1.4, 2.1), rng.uniform(0.3, 0.6))
        np.maximum(alpha, big, out=alpha)
    if region is not None:
        alpha *= region
    if rng.random() < 0.5:  # uneven density
        alpha *= _soft(cut("cloud2", rng, size), rng.uniform(-2.0, -0.5), 1.0)
    _darken(tile, alpha, 0.12 + 0.50 * strength)
    if rng.random() < 0.25:  # a corroded island
        field = cut("cloud", rng, size) * 1.0
        field += cut("mottle", rng, size) * 0.35
        _darken(tile, _soft(field, rng.uniform(1.3, 2.0), 0.12), rng.uniform(0.2, 0.6))
    if rng.random() < 0.2:
        mask = np.zeros((size, size), np.uint8)
        walk = _walks(rng, 1, 40, rng.uniform(0, size, (1, 2)), rng.uniform(0, 6.3, 1), 5.0, 0.5)
        _lines(mask, walk, 255, int(rng.integers(1, 4)))
        _darken(tile, mask * (1 / 255), rng.uniform(0.15, 0.5))
    return alpha


def rolled_in_scale(tile: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Flecks of scale pressed into the strip: small, dark, lying across, with a bright lower rim, in clusters."""
    size = tile.shape[0]
    name = ("fleck1", "fleck2", "fleck3")[int(rng.integers(3))]
    alpha = _soft(cut(name, rng, size), rng.uniform(1.3, 2.0), rng.uniform(0.3, 0.6))
    second = _soft(cut("fleck1", rng, size), rng.uniform(1.6, 2.2), rng.uniform(0.3, 0.6))
    np.maximum(alpha, second, out=alpha)
    cluster = _soft(cut("cloud", rng, size), rng.uniform(-0.6, 0.6), 0.8)
    band = _region(rng, size, 0.5)
    if band is not None:
        cluster *= band
    alpha *= cluster
    if float(alpha[8:-8:2, 8:-8:2].max()) < 0.5:  # the cluster fell on a bare spot: take the whole tile
        alpha = second
    rim = np.zeros_like(alpha)
    dy = int(rng.integers(2, 4))
    rim[dy:] = alpha[:-dy]
    np.maximum(rim - alpha, 0.0, out=rim)
    depth = 0.18 + 0.50 * strength
    factor = rim * (depth * rng.uniform(0.2, 0.6))
    factor -= depth * alpha
    factor += 1.0
    tile *= factor
    return alpha


def scratches(tile: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Bright lines: guides and rollers that ploughed the strip, along it, across it or askew."""
    size = tile.shape[0]
    mode = rng.random()
    lean = rng.normal(0, 0.02) if mode < 0.75 else rng.uniform(-0.6, 0.6)
    across = rng.random() < 0.42
    mask = np.zeros((size, size), np.uint8)
    knots = 12
    s = np.linspace(0, 1, knots)
    for _ in range(int(rng.integers(1, 5))):
        strands = int(rng.integers(1, 6))
        spread = rng.uniform(0.5, 9.0)
        whole = rng.random() < 0.5
        length = 1.3 if whole else rng.uniform(0.15, 0.7)
        begin = -0.15 if whole else rng.uniform(-0.1, 1.0 - 0.6 * length)
        along = (begin + length * s) * size
        centre = rng.uniform(0.04, 0.96) * size
        wander = np.cumsum(rng.standard_normal(knots)) * rng.uniform(0.0, 0.9) * (0.1 if whole else 1.0)
        offset = centre + lean * (along - size / 2) + wander
        for _ in range(strands):
            o = offset + rng.normal(0, spread)
            cut_ = slice(0, None) if whole else slice(int(rng.integers(0, 4)), int(rng.integers(8, knots + 1)))
            path = np.stack([along[cut_], o[cut_]] if across else [o[cut_], along[cut_]], -1)
            _lines(mask, path[None], rng.uniform(70, 255), 1 if rng.random() < 0.65 else int(rng.integers(2, 6)))
    alpha = cv2.GaussianBlur(mask * (1 / 255), (0, 0), rng.uniform(0.5, 1.1))
    rough = 0.85 + rng.uniform(0.05, 0.4) * profile(rng, int(rng.integers(6, 60)), size)
    np.clip(rough, 0.05, 1.3, out=rough)
    alpha *= rough[None, :] if across else rough[:, None]
    alpha *= 18.0 + 190.0 * strength * strength
    tile += alpha
    return mask


DRAW: dict[str, Callable[[np.ndarray, np.random.Generator, float], np.ndarray]] = {
    f.__name__: f for f in (crazing, inclusion, patches, pitted_surface, rolled_in_scale, scratches)
}


def dirt(tile: np.ndarray, rng: np.random.Generator) -> None:
    """Loose black specks that lie on any strip, clean or not: harmless, and not in the boxes."""
    size = tile.shape[0]
    mask = np.zeros((size, size), np.uint8)
    n = int(rng.integers(1, 5))
    centre = rng.uniform(0, size, 2)
    where = centre + rng.normal(0, 14, (n, 2))
    for x, y in where:
        a, b = rng.uniform(0.8, 3.5, 2)
        cv2.ellipse(
            mask, _fixed(np.array([x, y])).tolist(), _fixed(np.array([a, b + 1])).tolist(),
            rng.uniform(-30, 30), 0, 360, 255, -1, cv2.LINE_AA, _SHIFT,
        )  # fmt: skip
    _darken(tile, mask * (1 / 255), rng.uniform(0.3, 0.75))


def boxes_of(mask: np.ndarray, *, cell: int = 8, least: float = 0.25) -> np.ndarray:
    """Bounding boxes of the connected groups in a mask.

    Parts nearer than about one cell count as one defect, as an inspector would draw it.

    Args:
        mask: (H, W), uint8 (255 = defect) or float (1 = defect).
        cell: size of the coarse cells in which connection is judged [px].
        least: how strong the mask must be to count, as a share of its maximum.

    Returns:
        int64 (n, 4): x0, y0, x1, y1 in pixels, x1 and y1 exclusive, largest first; n may be 0.
    """
    size = mask.shape[0]
    top = mask.max()
    if top <= 0:
        return np.zeros((0, 4), np.int64)
    hit = mask > top * least
    n = -(-size // cell)
    pad = n * cell - size
    padded = np.pad(hit, ((0, pad), (0, pad))) if pad else hit
    coarse = padded.reshape(n, cell, n, cell).any(axis=(1, 3)).astype(np.uint8)
    joined = cv2.dilate(coarse, np.ones((3, 3), np.uint8))
    _, ids, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    boxes = []
    for k, (x, y, w, h, _area) in enumerate(stats[1:], start=1):
        rows = slice(y * cell, (y + h) * cell)
        cols = slice(x * cell, (x + w) * cell)
        own = np.repeat(np.repeat(ids[y : y + h, x : x + w] == k, cell, 0), cell, 1)
        own = own[: size - y * cell, : size - x * cell] & hit[rows, cols]
        ys, xs = np.flatnonzero(own.any(axis=1)), np.flatnonzero(own.any(axis=0))
        if len(ys):
            boxes.append((x * cell + xs[0], y * cell + ys[0], x * cell + xs[-1] + 1, y * cell + ys[-1] + 1))
    out = np.array(boxes, np.int64).reshape(-1, 4)
    area = (out[:, 2] - out[:, 0]) * (out[:, 3] - out[:, 1])
    return out[np.argsort(-area, kind="stable")]
