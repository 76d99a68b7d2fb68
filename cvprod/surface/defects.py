"""The six defects. Each function draws one kind into a tile in place and returns where it is.

All take ``(tile, rng, strength)``: ``tile`` float32 (H, W) in grey levels; ``strength`` from 0 (invisible) to 1
(as plain as it gets). They return a mask, float32 or uint8 (H, W), that is above zero where the defect is.
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


def _f(x: float) -> np.float32:
    return np.float32(x)


def _darken(tile: np.ndarray, alpha: np.ndarray, depth: float) -> None:
    """``tile *= 1 - depth * alpha``"""
    factor = alpha * _f(-depth)
    factor += _f(1.0)
    tile *= factor


def _alpha(mask: np.ndarray, blur: float) -> np.ndarray:
    """A drawn uint8 mask as float32 in 0..1, softened. OpenCV's 8-bit Gaussian is exact integer arithmetic."""
    soft = cv2.GaussianBlur(mask, (0, 0), blur, hint=cv2.ALGO_HINT_ACCURATE)
    return soft * _f(1 / 255)


def _soft(field: np.ndarray, threshold: float, width: float) -> np.ndarray:
    """0 below the threshold, 1 one width above it, linear between: float32. Threshold in std deviations."""
    out = field * _f(1.0 / (UNIT * width))
    out -= _f(threshold / width)
    return np.clip(out, 0.0, 1.0, out=out)


def _mix(rng: np.random.Generator, size: int, *parts: tuple[str, float]) -> np.ndarray:
    """Weighted sum of fields, float32, in units of the bank."""
    (name, weight), *rest = parts
    out = cut(name, rng, size) * _f(weight)
    for name, weight in rest:
        out += cut(name, rng, size) * _f(weight)
    return out


def _region(rng: np.random.Generator, size: int, share_whole: float) -> np.ndarray | None:
    """Where on the tile a scattered defect sits: None for everywhere, else a soft vertical band (1, W)."""
    if rng.random() < share_whole:
        return None
    x = np.arange(size) / size
    centre, half, edge = rng.uniform(0, 1), rng.uniform(0.15, 0.45), rng.uniform(0.02, 0.25)
    return np.clip((half + edge / 2 - np.abs(x - centre)) / edge, 0.0, 1.0).astype(np.float32)[None, :]


def crazing(tile: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """A net of fine dark cracks, mostly across the strip, some of them branching."""
    size = tile.shape[0]
    n = int(rng.integers(14, 40))
    steps = int(rng.integers(10, 26))
    mask = np.zeros((size, size), np.uint8)
    start = rng.uniform(-0.1, 1.0, (n, 2)) * size
    heading = rng.normal(rng.uniform(-0.3, 0.3), 0.35, n)
    walk = _walks(rng, n, steps, start, heading, rng.uniform(2.0, 4.2), 0.7)
    twigs = _walks(rng, n // 2, steps // 2, walk[: n // 2, steps // 2], heading[: n // 2] + 1.2, 2.6, 0.6)
    bold = int(n * rng.uniform(0.0, 0.15))
    _lines(mask, walk[bold:], rng.uniform(150, 255), 1)
    _lines(mask, twigs, rng.uniform(110, 200), 1)
    _lines(mask, walk[:bold], 255, 2)
    alpha = _alpha(mask, rng.uniform(0.45, 0.8))
    wear = _mix(rng, size, ("mottle", 0.45 / UNIT))
    wear += _f(1.1)
    np.clip(wear, 0.0, 1.4, out=wear)
    alpha *= wear
    _darken(tile, np.minimum(alpha, _f(1.0), out=alpha), 0.34 + 0.42 * strength)
    # the finest cracks are below the drawing's resolution: short dark dashes
    fine = _soft(cut("dash", rng, size), rng.uniform(0.9, 1.8), 0.9)
    _darken(tile, fine, 0.08 + 0.34 * strength)
    return mask


def inclusion(tile: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Slag drawn out by rolling: thin dark spindles, in a column, along the strip."""
    size = tile.shape[0]
    n = 1 + int(rng.integers(1, 18) * rng.random())
    knots = 17
    t = np.linspace(-1, 1, knots)
    length = np.minimum(rng.uniform(9, 30, n) * np.exp(rng.uniform(0, 1.7, n)), 230)
    length[0] = max(length[0], 26)
    width = rng.uniform(0.8, 2.6, n) * np.exp(rng.uniform(0, 1.5, n) * (length > 40))
    width[0] = max(width[0], 1.5)
    column = rng.uniform(0.08, 0.92, 2) * size
    x = column[(rng.random(n) < 0.25).astype(np.int64)] + rng.normal(0, rng.uniform(2, 20), n)
    y = rng.uniform(0.02, 0.98, n) * size
    x, y = np.clip(x, 5, size - 5), np.clip(y, 5, size - 5)
    spindle = (1 - np.abs(t) ** rng.uniform(1.2, 3.0))[None] * width[:, None]
    wobble = np.cumsum(rng.standard_normal((n, knots)), axis=1) * rng.uniform(0.1, 0.7)
    wobble += t * rng.normal(0, 0.06, n)[:, None] * (length / 2)[:, None]
    left = x[:, None] + wobble - spindle * rng.uniform(0.3, 1.7, (n, knots))
    right = x[:, None] + wobble + spindle * rng.uniform(0.3, 1.7, (n, knots))
    yy = y[:, None] + t[None] * (length / 2)[:, None]
    shapes = np.concatenate([np.stack([left, yy], -1), np.stack([right, yy], -1)[:, ::-1]], axis=1)
    mask = np.zeros((size, size), np.uint8)
    level = rng.uniform(110, 255, n)
    level[0] = 255
    for shape, value in zip(_fixed(shapes), level, strict=True):
        cv2.fillPoly(mask, [shape], int(value), cv2.LINE_AA, _SHIFT)
    alpha = _alpha(mask, rng.uniform(0.8, 2.0))
    depth = 0.16 + 0.42 * strength
    if rng.random() < 0.35:  # a stain around the column
        xs = np.arange(size)
        stain = np.exp(-(((xs - column[0]) / rng.uniform(4, 22)) ** 2)) * rng.uniform(0.1, 0.55) * depth
        streaky = _soft(cut("along", rng, size), -1.5, 2.0)
        streaky *= stain.astype(np.float32)[None, :]
        _darken(tile, streaky, 1.0)
    _darken(tile, alpha, depth)
    return mask


def patches(tile: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Large dark islands of scale with soft, ragged edges."""
    size = tile.shape[0]
    field = _mix(
        rng, size,
        ("cloud" if rng.random() < 0.6 else "cloud2", 1.0),
        ("mottle", rng.uniform(0.05, 0.22)),
        ("grain2", rng.uniform(0.0, 0.10)),
    )  # fmt: skip
    coarse = np.sort(field[::8, ::8], axis=None)
    share = rng.uniform(0.08, 0.6)
    threshold = float(coarse[int((1 - share) * (coarse.size - 1))]) / UNIT
    alpha = _soft(field, threshold, rng.uniform(0.25, 0.9))
    _darken(tile, alpha, 0.32 + 0.50 * strength)
    return alpha


def pitted_surface(tile: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Many small dark pits, dense over the tile or in a band; sometimes with corroded islands or lines."""
    size = tile.shape[0]
    stipple = rng.random() < 0.72  # fine and dense, all over
    if stipple:
        depth = 0.15 + 0.30 * strength
        fine = ("pits0", "pits0", "pits1", "pitsv", "pitsv")[int(rng.integers(5))]
        alpha = _soft(cut(fine, rng, size), rng.uniform(-0.6, 0.8), rng.uniform(1.1, 2.4))
    else:
        depth = 0.16 + 0.44 * strength
        fine = "pits1" if rng.random() < 0.5 else "pits2"
        alpha = _soft(cut(fine, rng, size), rng.uniform(0.3, 1.3), rng.uniform(0.5, 1.0))
        alpha *= _f(rng.uniform(0.6, 1.0))
    if rng.random() < (0.2 if stipple else 0.4):
        big = _soft(cut("pits3", rng, size), rng.uniform(1.2, 2.0), rng.uniform(0.3, 0.6))
        np.maximum(alpha, big, out=alpha)
    region = _region(rng, size, 0.85 if stipple else 0.55)
    if region is not None:
        alpha *= region
    if rng.random() < 0.5:  # uneven density
        alpha *= _soft(cut("cloud2", rng, size), rng.uniform(-2.5, -1.0), 1.2)
    _darken(tile, alpha, depth)
    if rng.random() < 0.25:  # a corroded island
        field = _mix(rng, size, ("cloud", 1.0), ("mottle", 0.3), ("pits2", 0.15))
        _darken(tile, _soft(field, rng.uniform(1.2, 2.0), 0.15), rng.uniform(0.2, 0.55))
    if rng.random() < 0.2:
        mask = np.zeros((size, size), np.uint8)
        walk = _walks(rng, 1, 40, rng.uniform(0, size, (1, 2)), rng.normal(1.6, 0.6, 1), 5.0, 0.5)
        _lines(mask, walk, 255, int(rng.integers(1, 4)))
        _darken(tile, mask * _f(1 / 255), rng.uniform(0.15, 0.5))
    return alpha


def rolled_in_scale(tile: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Flecks of scale pressed into the strip: small, dark, lying across, with a bright rim below, in clusters."""
    size = tile.shape[0]
    name = ("fleck2", "fleck3", "clot", "clot")[int(rng.integers(4))]
    alpha = _soft(cut(name, rng, size), rng.uniform(0.6, 1.4), rng.uniform(0.6, 1.6))
    second = _soft(cut("fleck1", rng, size), rng.uniform(1.4, 2.2), rng.uniform(0.5, 1.2))
    np.maximum(alpha, second, out=alpha)
    field = cut("cloud", rng, size)
    cluster = _soft(field, rng.uniform(-0.8, 0.8), rng.uniform(0.5, 1.2))
    band = _region(rng, size, 0.5)
    if band is not None:
        cluster *= band
    alpha *= cluster
    if float(alpha[8:-8:2, 8:-8:2].mean()) < 0.015:  # hardly a fleck in the cluster: strew them over the tile
        np.maximum(alpha, second, out=alpha)
    rim = np.zeros_like(alpha)
    dy = int(rng.integers(2, 4))
    rim[dy:] = alpha[:-dy]
    np.maximum(rim - alpha, 0.0, out=rim)
    depth = 0.27 + 0.40 * strength
    rim *= _f(depth * rng.uniform(0.1, 0.5))
    rim -= alpha * _f(depth)
    rim -= cluster * _f(0.15 * depth * rng.random())  # the steel between the flecks is duller, too
    rim += _f(1.0)
    tile *= rim
    return alpha


def scratches(tile: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Bright lines: guides and rollers that ploughed the strip, along it, across it or askew."""
    size = tile.shape[0]
    lean = rng.normal(0, 0.02) if rng.random() < 0.75 else rng.uniform(-0.6, 0.6)
    across = rng.random() < 0.42
    mask = np.zeros((size, size), np.uint8)
    knots = 12
    s = np.linspace(0, 1, knots)
    for group in range(int(rng.integers(1, 7))):
        strands = int(rng.integers(1, 6))
        spread = rng.uniform(0.5, 9.0)
        whole = rng.random() < 0.55
        length = 1.3 if whole else rng.uniform(0.3 if group else 0.5, 0.8)
        begin = -0.15 if whole else rng.uniform(0.0, 1.0 - 0.8 * length)
        along = (begin + length * s) * size
        centre = rng.uniform(0.05, 0.95) * size
        wander = np.cumsum(rng.standard_normal(knots)) * rng.uniform(0.0, 0.9) * (0.1 if whole else 1.0)
        offset = centre + lean * (along - centre) + wander
        glint = 255 if group == 0 else rng.uniform(90, 255)
        for strand in range(strands):
            o = offset + rng.normal(0, spread) * (strand > 0)
            piece = slice(0, None) if whole else slice(int(rng.integers(0, 4)), int(rng.integers(8, knots + 1)))
            path = np.stack([along[piece], o[piece]] if across else [o[piece], along[piece]], -1)
            width = 1 if rng.random() < 0.55 else int(rng.integers(2, 7))
            _lines(mask, path[None], glint * rng.uniform(0.6, 1.0), width)
    alpha = _alpha(mask, rng.uniform(0.5, 1.1))
    rough = profile(rng, int(rng.integers(6, 50)), size) * _f(rng.uniform(0.02, 0.3)) + _f(0.85)
    rough = rough[None, :] if across else rough[:, None]
    worn = cut("along" if rng.random() < 0.5 else "mottle", rng, size) * _f(rng.uniform(0.03, 0.3) / UNIT)
    worn += rough
    alpha *= np.clip(worn, 0.05, 1.3, out=worn)
    alpha *= _f(26.0 + 230.0 * strength * strength)
    tile += alpha
    return mask


DRAW: dict[str, Callable[[np.ndarray, np.random.Generator, float], np.ndarray]] = {
    f.__name__: f for f in (crazing, inclusion, patches, pitted_surface, rolled_in_scale, scratches)
}


def dirt(tile: np.ndarray, rng: np.random.Generator) -> None:
    """Loose black specks that lie on any strip, clean or not: harmless, and not in the boxes."""
    size = tile.shape[0]
    mask = np.zeros((size, size), np.uint8)
    n = int(rng.integers(1, 7))
    centre = rng.uniform(0, size, 2)
    where = centre + rng.normal(0, 14, (n, 2))
    for x, y in where:
        a, b = rng.uniform(0.5, 2.5, 2)
        cv2.ellipse(
            mask, _fixed(np.array([x, y])).tolist(), _fixed(np.array([a, b + 1])).tolist(),
            rng.uniform(-30, 30), 0, 360, 255, -1, cv2.LINE_AA, _SHIFT,
        )  # fmt: skip
    _darken(tile, mask * _f(1 / 255), rng.uniform(0.3, 0.75))


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
    coarse = padded.reshape(n, cell, n * cell).any(axis=1).reshape(n, n, cell).any(axis=2).astype(np.uint8)
    joined = cv2.dilate(coarse, np.ones((3, 3), np.uint8))
    stats = cv2.connectedComponentsWithStats(joined, connectivity=8)[2]
    boxes = []
    for x, y, w, h, _ in (stats[1:] * cell).tolist():
        own = hit[y : y + h, x : x + w]
        ys, xs = np.flatnonzero(own.any(axis=1)), np.flatnonzero(own.any(axis=0))
        boxes.append((x + xs[0], y + ys[0], x + xs[-1] + 1, y + ys[-1] + 1))
    out = np.array(boxes, np.int64).reshape(-1, 4)
    area = (out[:, 2] - out[:, 0]) * (out[:, 3] - out[:, 1])
    return out[np.argsort(-area, kind="stable")]
