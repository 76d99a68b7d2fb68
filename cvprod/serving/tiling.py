"""A frame of a line camera, cut into tiles for a classifier of tiles, and the tiles' verdicts merged into boxes.

Plain arithmetic on arrays, for whoever has verdicts: the service, a notebook, a job over files. All coordinates are
pixels of the upright frame before any resize, x to the right and y down; x1 and y1 are exclusive.

How verdicts become boxes:

1. Tiles overlap, so their edges divide the frame into *cells*, and one or several tiles look at each cell.
2. A tile that says "defect" does not say where. The defect is in those of its cells of which the largest share of
   tiles says so: a neighbour that sees steel there rules a cell out. Some cells are always left, so no alarm is lost.
   Only neighbours that share little of the tile have a say (DISTINCT): one that sees nearly the same and disagrees
   tells that the verdict is doubtful, not where the defect is.
3. Connected cells of one label are one region: a defect that is longer than a tile is one box.
4. One defect may get two labels from two tiles. A box that is mostly covered by a more probable one goes
   (non-maximum suppression), unless a tile that speaks for it would then be without a box.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from cvprod.surface import INPUT_SIZE, to_input

from .verdict import Verdict

#: A box of which a more probable one covers more than this share goes.
COVERED = 0.5
#: Two tiles that share at most so much of their pixels look at different places.
DISTINCT = 0.6


@dataclass(frozen=True)
class Grid:
    """Where the tiles of a frame lie.

    Attributes:
        height, width: of the frame.
        tile: edge length of a tile.
        ys, xs: upper and left edges of the rows and columns of tiles.
    """

    height: int
    width: int
    tile: int
    ys: tuple[int, ...]
    xs: tuple[int, ...]

    @classmethod
    def over(cls, height: int, width: int, tile: int, overlap: int) -> Grid:
        """The fewest tiles that cover a frame and share at least `overlap` pixels with their neighbours, evenly spaced.

        Raises ValueError: a side below 1, or an overlap that is not from 0 to less than a tile.
        """
        if min(height, width, tile) < 1 or not 0 <= overlap < tile:
            raise ValueError(f"no grid of tiles of {tile} px with {overlap} px of overlap over {width} x {height} px")
        return cls(height, width, tile, _starts(height, tile, overlap), _starts(width, tile, overlap))

    @property
    def count(self) -> int:
        """Number of tiles."""
        return len(self.ys) * len(self.xs)

    @cached_property
    def windows(self) -> np.ndarray:
        """The part of the frame that each tile shows, row by row: int64 (count, 4), x0 y0 x1 y1."""
        y, x = (corner.ravel() for corner in np.meshgrid(self.ys, self.xs, indexing="ij"))
        ends = np.minimum(x + self.tile, self.width), np.minimum(y + self.tile, self.height)
        return np.stack([x, y, *ends], axis=1).astype(np.int64)


def _starts(length: int, tile: int, overlap: int) -> tuple[int, ...]:
    if length <= tile:
        return (0,)
    steps = -(-(length - tile) // (tile - overlap))
    return tuple(i * (length - tile) // steps for i in range(steps + 1))


def cut(frame: np.ndarray, grid: Grid) -> np.ndarray:
    """The tiles of a frame as the network takes them.

    A frame that is smaller than a tile is continued by its mirror image: the steel keeps its scale.

    Args:
        frame: uint8 (H, W), upright, of the grid's size.

    Returns:
        uint8 (grid.count, 1, 96, 96), row by row.
    """
    if frame.shape != (grid.height, grid.width):
        raise ValueError(f"the grid is for {grid.width} x {grid.height} px, the frame has {frame.shape[::-1]}")
    lacking = [(0, max(0, grid.tile - side)) for side in frame.shape]
    if any(after for _, after in lacking):
        frame = np.pad(frame, lacking, mode="symmetric")
    tiles = np.empty((grid.count, 1, INPUT_SIZE, INPUT_SIZE), np.uint8)
    for tile, (x, y) in zip(tiles, grid.windows[:, :2].tolist(), strict=True):
        tile[0] = to_input(frame[y : y + grid.tile, x : x + grid.tile])
    return tiles


@dataclass(frozen=True)
class Found:
    """A defect on a frame. `probability` and `review` are those of the surest tile that shows it; `tiles`: how many."""

    box: tuple[int, int, int, int]
    label: str
    probability: float
    review: bool
    tiles: int


def locate(grid: Grid, verdicts: Sequence[Verdict]) -> list[Found]:
    """Boxes around what the tiles found, from left to right; see the module for how.

    verdicts: one for each tile, in the order of `cut`.
    """
    if len(verdicts) != grid.count:
        raise ValueError(f"{grid.count} tiles, but {len(verdicts)} verdicts")
    defect = np.array([verdict.defect for verdict in verdicts], bool)
    alarms = np.flatnonzero(defect)
    if not len(alarms):
        return []
    x_edges, y_edges = (np.unique(grid.windows[:, [side, side + 2]]) for side in (0, 1))
    shape = len(y_edges) - 1, len(x_edges) - 1
    looked_at = _cells(grid.windows, x_edges, y_edges)
    shared = overlap(grid.windows[alarms], grid.windows)
    asked = (shared > 0) & (shared <= DISTINCT * shared[np.arange(len(alarms)), alarms][:, None])
    asked[np.arange(len(alarms)), alarms] = True
    asked = asked.astype(np.float64)
    share = asked @ (looked_at * defect[:, None]) / np.maximum(asked @ looked_at, 1)
    share[looked_at[alarms] == 0] = -1
    places = share >= share.max(axis=1, keepdims=True) - 1e-9  # (alarms, cells): where the defect of each is

    found, speak = [], []
    labels = np.array([verdicts[n].label for n in alarms])
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        mask = places[own].any(axis=0).reshape(shape).astype(np.uint8)
        _, region, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
        for number, (x, y, w, h, _) in enumerate(stats[1:].tolist(), 1):
            tiles = alarms[own[places[own][:, region.ravel() == number].any(axis=1)]]
            best = max((verdicts[n] for n in tiles), key=_sureness)
            speak.append(grid.windows[tiles])
            box = (x_edges[x], y_edges[y], x_edges[x + w], y_edges[y + h])
            found.append(Found(tuple(map(int, box)), best.label, best.probability, best.review, len(tiles)))
    boxes, scores = np.array([f.box for f in found]), [_sureness(f) for f in found]
    kept = suppress(boxes, scores)
    for k in sorted(set(range(len(found))) - set(kept), key=lambda k: scores[k], reverse=True):
        if not overlap(speak[k], boxes[kept]).any(axis=1).all():
            kept.append(k)
    return sorted((found[k] for k in kept), key=lambda f: f.box)


def _cells(windows: np.ndarray, x_edges: np.ndarray, y_edges: np.ndarray) -> np.ndarray:
    """Which tile looks at which cell: 0 or 1, float64 (tiles, cells), cells row by row."""
    across, down = (
        (windows[:, [side]] <= edges[:-1]) & (edges[1:] <= windows[:, [side + 2]])
        for side, edges in ((0, x_edges), (1, y_edges))
    )
    return (down[:, :, None] & across[:, None, :]).reshape(len(windows), -1).astype(np.float64)


def _sureness(said: Verdict | Found) -> tuple[bool, float]:
    """The flag first: with a filter (--output top1) it is all that the probability says."""
    return not said.review, said.probability


def suppress(boxes: np.ndarray, scores: Sequence, covered: float = COVERED) -> list[int]:
    """Non-maximum suppression: the boxes to keep, best first, none of them mostly covered by a better one.

    Args:
        boxes: (n, 4), x0 y0 x1 y1.
        scores: n values that can be compared; the highest is the best. The earlier of two equal ones counts as better.
        covered: the share of its own pixels from which on a box counts as mostly covered. Detectors compare the
            intersection over union instead: their boxes are of one size, and these are not.
    """
    boxes, kept = np.asarray(boxes, np.int64).reshape(-1, 4), []
    shared, area = overlap(boxes, boxes), np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    for k in sorted(range(len(boxes)), key=lambda k: scores[k], reverse=True):
        if all(shared[k, other] <= covered * area[k] for other in kept):
            kept.append(k)
    return kept


def overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pixels that two boxes share: int (n, 4) and (m, 4) to (n, m)."""
    sides = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    return np.maximum(sides, 0).prod(axis=2)


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union: (n, 4) and (m, 4) to float (n, m)."""
    shared = overlap(a, b)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (a, b)]
    return shared / np.maximum(areas[0][:, None] + areas[1][None, :] - shared, 1)
