"""One tile: bare steel, a defect, a picture of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .camera import photograph
from .conditions import NOMINAL, Conditions
from .defects import DRAW, boxes_of, dirt
from .textures import choose_look, make_texture

CLASSES = (
    "clean", "crazing", "inclusion", "patches", "pitted_surface", "rolled_in_scale", "scratches",
)  # fmt: skip
"""The classes, in the order of the networks' logits."""
DEFECTS = CLASSES[1:]
TILE_SIZE = 224
"""Edge length of the camera's tile in pixels."""

# How faint a defect may be on each ground: one that drowns in the grain would be a wrong label, not a hard tile.
FAINTEST = {"grainy": 0.55, "smooth": 0.3, "bright": 0.35, "brushed": 0.4}


@dataclass(frozen=True, eq=False)
class Tile:
    """A picture and what is on it.

    Attributes:
        image: uint8 (H, W), grey.
        label: index in CLASSES.
        boxes: int64 (n, 4), x0 y0 x1 y1 in pixels, x1 and y1 exclusive; empty on clean steel.
        conditions: how it was taken.
    """

    image: np.ndarray
    label: int
    boxes: np.ndarray
    conditions: Conditions

    @property
    def name(self) -> str:
        """The class in words."""
        return CLASSES[self.label]


def label_index(label: int | str) -> int:
    """Index in CLASSES of a label given by name or by index; ValueError lists the known ones."""
    if isinstance(label, str):
        name = label.strip().lower().replace("-", "_").replace(" ", "_")
        if name in CLASSES:
            return CLASSES.index(name)
    elif isinstance(label, int | np.integer) and not isinstance(label, bool) and 0 <= label < len(CLASSES):
        return int(label)
    raise ValueError(f"unknown class {label!r}; known: {', '.join(CLASSES)} (or 0 to {len(CLASSES) - 1})")


def make_tile(label: int | str, seed: int, *, conditions: Conditions = NOMINAL, size: int = TILE_SIZE) -> Tile:
    """Make one tile. The same arguments give the same bytes.

    The steel and its defect depend on (label, seed, grade, size) alone: turning another dial takes another
    picture of the same piece of strip.

    Args:
        label: class name or index.
        seed: any non-negative integer.
        conditions: the dials.
        size: edge length in pixels, 32 to 224; smaller than 224 shows a smaller piece of strip.

    Raises:
        ValueError: unknown label, bad size or seed.
    """
    index = label_index(label)
    if not isinstance(size, int | np.integer) or not 32 <= size <= TILE_SIZE:
        raise ValueError(f"size must be a whole number from 32 to {TILE_SIZE}, got {size!r}")
    if not isinstance(seed, int | np.integer) or isinstance(seed, bool) or seed < 0:
        raise ValueError(f"seed must be a non-negative integer, got {seed!r}")
    if not isinstance(conditions, Conditions):
        raise ValueError(f"conditions must be a Conditions, got {conditions!r}")
    steel = np.random.Generator(np.random.PCG64((int(seed), index)))
    camera = np.random.Generator(np.random.PCG64((int(seed), index, 1)))
    look = choose_look(index, steel)
    surface = make_texture(look, conditions.grade, steel, size)
    boxes = np.zeros((0, 4), np.int64)
    if steel.random() < (0.2 if look == "grainy" else 0.03):
        dirt(surface, steel)
    if index:
        floor = FAINTEST[look]
        strength = floor + (1 - floor) * steel.random()
        mask = DRAW[CLASSES[index]](surface, steel, strength)
        boxes = _turn(boxes_of(mask), conditions.rotation, size)
    image = photograph(surface, conditions, camera)
    return Tile(image, index, boxes, conditions)


def _turn(boxes: np.ndarray, degrees: float, size: int) -> np.ndarray:
    """The upright boxes around boxes that turned with the picture about its centre."""
    if not degrees or not len(boxes):
        return boxes
    a = np.deg2rad(degrees)
    c = size / 2
    x = boxes[:, [0, 2, 2, 0]] - c
    y = boxes[:, [1, 1, 3, 3]] - c
    u = x * np.cos(a) + y * np.sin(a) + c
    v = -x * np.sin(a) + y * np.cos(a) + c
    out = np.stack([np.floor(u.min(1)), np.floor(v.min(1)), np.ceil(u.max(1)), np.ceil(v.max(1))], 1)
    out = np.clip(out, 0, size).astype(np.int64)
    return out[(out[:, 2] > out[:, 0]) & (out[:, 3] > out[:, 1])]
