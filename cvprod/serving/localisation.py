"""How well frames are searched: generated frames with known boxes, held against the boxes that are found.

`python -m cvprod.serving frames` prints it. A defect counts as found if its centre lies in a box; a box counts as right
if the centre of a defect lies in it. Intersection over union is given beside it, and is modest: a classifier of tiles
draws boxes of about a tile, also around a hair-thin scratch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from cvprod.surface import CLASSES
from cvprod.surface.frames import Frame

from .frames import judged
from .model import Model
from .tiling import Found, Grid, iou, locate


@dataclass
class Score:
    """Counts over frames; `add` takes one more."""

    frames: int = 0
    found: list[bool] = field(default_factory=list)  #: of each defect
    named: list[bool] = field(default_factory=list)  #: of each defect that was found: was it called what it is
    overlaps: list[float] = field(default_factory=list)  #: of each defect: best intersection over union
    right: list[bool] = field(default_factory=list)  #: of each box
    sure: list[bool] = field(default_factory=list)  #: of each box: without a review flag

    def add(self, frame: Frame, boxes: list[Found]) -> None:
        """Hold what was found on a frame against what is there."""
        self.frames += 1
        given = np.array([f.box for f in boxes], np.int64).reshape(-1, 4)
        centres = (frame.boxes[:, :2] + frame.boxes[:, 2:]) / 2
        inside = ((centres[:, None] >= given[:, :2]) & (centres[:, None] < given[:, 2:])).all(axis=2)
        self.found += inside.any(axis=1).tolist()
        self.right += inside.any(axis=0).tolist()
        self.sure += [not f.review for f in boxes]
        self.overlaps += iou(frame.boxes, given).max(axis=1, initial=0.0).tolist()
        for label, hits in zip(frame.labels.tolist(), inside, strict=True):
            if hits.any():
                self.named.append(CLASSES[label] in [boxes[k].label for k in np.flatnonzero(hits)])

    @property
    def recall(self) -> float:
        """Of the defects, the share that was found."""
        return _mean(self.found)

    @property
    def precision(self) -> float:
        """Of the boxes, the share that has a defect in it."""
        return _mean(self.right)

    @property
    def sure_precision(self) -> float:
        """The same of the boxes without a review flag."""
        return _mean([right for right, sure in zip(self.right, self.sure, strict=True) if sure])

    @property
    def mean_iou(self) -> float:
        """Over all defects, those that were missed included."""
        return _mean(self.overlaps)

    def lines(self) -> list[str]:
        """What the command prints."""
        return [
            f"{self.frames} frames, {len(self.found)} defects, {len(self.right)} boxes",
            f"recall by centre        {self.recall:.3f}",
            f"precision by centre     {self.precision:.3f}",
            f"  without review flag   {self.sure_precision:.3f}  ({sum(self.sure)} boxes)",
            f"called by their name    {_mean(self.named):.3f}  of those found",
            f"IoU of a defect, mean   {self.mean_iou:.3f}  (over 0.3: {_mean([v > 0.3 for v in self.overlaps]):.3f})",
        ]


def _mean(values: list) -> float:
    return float(np.mean(values)) if values else float("nan")


def search(model: Model, image: np.ndarray, *, tile: int, overlap: int, review_below: float = 0.8) -> list[Found]:
    """What the service finds on a frame, without the service: uint8 (H, W), upright, to boxes."""
    grid = Grid.over(*image.shape, tile, overlap)
    return locate(grid, judged(model, image, grid, review_below))


def measure(model: Model, frames: Iterable[Frame], *, tile: int, overlap: int, review_below: float = 0.8) -> Score:
    """Search frames and hold what is found against what is there."""
    score = Score()
    for frame in frames:
        score.add(frame, search(model, frame.image, tile=tile, overlap=overlap, review_below=review_below))
    return score
