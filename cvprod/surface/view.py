"""Looking at tiles: a mosaic, and boxes drawn on a tile."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np


def mosaic(images: Sequence[np.ndarray] | np.ndarray, columns: int, *, gap: int = 2) -> np.ndarray:
    """Tiles of one size side by side.

    Args:
        images: grey tiles, uint8, each (S, S) or (1, S, S).
        columns: tiles in a row; the last row is filled up with white.
        gap: white space between tiles [px].

    Returns:
        uint8 (H, W).
    """
    if columns < 1 or not len(images):
        raise ValueError("a mosaic needs at least one image and one column")
    tiles = [np.asarray(i).reshape(np.asarray(i).shape[-2:]) for i in images]
    h, w = tiles[0].shape
    rows = -(-len(tiles) // columns)
    out = np.full((rows * (h + gap) - gap, columns * (w + gap) - gap), 255, np.uint8)
    for k, tile in enumerate(tiles):
        r, c = divmod(k, columns)
        out[r * (h + gap) : r * (h + gap) + h, c * (w + gap) : c * (w + gap) + w] = tile
    return out


def draw_boxes(image: np.ndarray, boxes: np.ndarray, *, colour: tuple[int, int, int] = (255, 160, 0)) -> np.ndarray:
    """A copy of a grey tile as RGB with boxes on it: uint8 (H, W) in, uint8 (H, W, 3) out."""
    out = np.repeat(np.asarray(image, np.uint8)[..., None], 3, axis=-1)
    for x0, y0, x1, y1 in np.asarray(boxes).tolist():
        cv2.rectangle(out, (x0, y0), (x1 - 1, y1 - 1), colour, 1)
    return out
