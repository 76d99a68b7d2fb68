"""Frames of a line camera: a long strip of clean steel with defects at places that are known.

Tiles say whether a classifier sees a defect. Frames say whether a system finds it: where each one lies is known, so
that boxes can be held against boxes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .camera import photograph
from .conditions import NOMINAL, Conditions
from .defects import DRAW
from .generator import CLASSES, DEFECTS, FAINTEST, TILE_SIZE, label_index
from .textures import choose_look, make_texture

FRAME_HEIGHT = 300
FRAME_WIDTH = 4096

#: A defect is drawn in a square of one tile and fades out towards its edges, over so many pixels.
FADE = 20
#: Steel between two defects, so that what belongs together is never a matter of opinion.
APART = TILE_SIZE


@dataclass(frozen=True, eq=False)
class Frame:
    """A picture of a line camera and what is on it.

    Attributes:
        image: uint8 (H, W), grey.
        labels: int64 (n,), index in CLASSES of each defect, from left to right.
        boxes: int64 (n, 4), one around each defect: x0 y0 x1 y1 in pixels, x1 and y1 exclusive.
        conditions: how it was taken.
    """

    image: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray
    conditions: Conditions


def make_frame(
    seed: int,
    defects: int | list[int | str] | None = None,
    *,
    conditions: Conditions = NOMINAL,
    height: int = FRAME_HEIGHT,
    width: int = FRAME_WIDTH,
) -> Frame:
    """Make one frame. The same arguments give the same bytes.

    Args:
        seed: any non-negative integer.
        defects: their classes in any order, how many of any class, or None for a number from 0 to what fits (at
            most four).
        conditions: the dials; a line camera is mounted straight, so rotation must be 0.
        height, width: of the frame in pixels, at least one tile (224) each.

    Raises:
        ValueError: a bad seed or size, a frame too narrow for its defects, "clean" among them, or a rotation.
    """
    if not isinstance(seed, int | np.integer) or isinstance(seed, bool) or seed < 0:
        raise ValueError(f"seed must be a non-negative integer, got {seed!r}")
    if min(height, width) < TILE_SIZE:
        raise ValueError(f"a frame is at least {TILE_SIZE} x {TILE_SIZE} pixels, got {width} x {height}")
    if conditions.rotation:
        raise ValueError("a line camera is mounted straight: frames need rotation=0")
    rng = np.random.Generator(np.random.PCG64((int(seed), height, width, 0xF4A3E)))
    room = (width + APART) // (TILE_SIZE + APART)
    kinds = _kinds(rng, defects, room)
    look = choose_look(kinds[0] if kinds else 0, rng)
    surface = make_texture(look, conditions.grade, rng, height, width)
    boxes = [_draw(surface, kind, x, look, rng) for kind, x in zip(kinds, _places(rng, len(kinds), width), strict=True)]
    image = photograph(surface, conditions, np.random.Generator(np.random.PCG64((int(seed), height, width, 1))))
    return Frame(image, np.array(kinds, np.int64), np.array(boxes, np.int64).reshape(-1, 4), conditions)


def frames(count: int, seed: int = 0, **options) -> Iterator[Frame]:
    """So many frames, one after the other (5 MB each with its work); `options` as of `make_frame`."""
    for n in range(count):
        yield make_frame(seed * 1_000_003 + n, **options)


def _kinds(rng: np.random.Generator, defects: int | list[int | str] | None, room: int) -> list[int]:
    """Class of each defect. Raises ValueError."""
    if defects is None:
        defects = int(rng.integers(0, min(room, 4) + 1))
    if isinstance(defects, int | np.integer):
        kinds = [int(k) + 1 for k in rng.integers(len(DEFECTS), size=max(0, int(defects)))]
    else:
        kinds = [label_index(name) for name in defects]
        if 0 in kinds:
            raise ValueError("clean steel is no defect: leave it out")
    if len(kinds) > room:
        raise ValueError(f"{len(kinds)} defects do not fit into this width, only {room}: make the frame wider")
    return kinds


def _places(rng: np.random.Generator, count: int, width: int) -> list[int]:
    """Left edges of so many squares that keep their distance, at random; from left to right."""
    free = width - count * TILE_SIZE - max(0, count - 1) * APART
    gaps = np.sort(rng.integers(0, free + 1, size=count))
    return [int(gap) + n * (TILE_SIZE + APART) for n, gap in enumerate(gaps)]


def _draw(surface: np.ndarray, kind: int, x: int, look: str, rng: np.random.Generator) -> list[int]:
    """Draw a defect into a square of the surface, in place, and return its box."""
    y = int(rng.integers(0, len(surface) - TILE_SIZE + 1))
    square = surface[y : y + TILE_SIZE, x : x + TILE_SIZE]
    drawn = square.copy()
    floor = FAINTEST[look]
    DRAW[CLASSES[kind]](drawn, rng, floor + (1 - floor) * rng.random())
    side = np.minimum(np.arange(TILE_SIZE) + 1, np.arange(TILE_SIZE, 0, -1)).astype(np.float32)
    side = np.minimum(side / np.float32(FADE), np.float32(1.0))
    drawn -= square
    drawn *= side[:, None] * side[None, :]
    square += drawn
    change = np.abs(drawn)
    seen = change > 0.25 * change.max()  # all of it: a stain or an island beside the main part, too
    rows, columns = (np.flatnonzero(seen.any(axis)) for axis in (1, 0))
    return [x + int(columns[0]), y + int(rows[0]), x + int(columns[-1]) + 1, y + int(rows[-1]) + 1]
