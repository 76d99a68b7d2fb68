"""What the service says of a picture: one place that turns probabilities into a verdict, and one form of the answer.

Without FastAPI and without the service's other modules, so that whoever runs the model elsewhere (`deploy/ray`) says
the same of the same picture.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np
from msgspec import UNSET, Meta, UnsetType

#: The class of a picture without a defect.
GOOD = "clean"
#: Decimals of a probability in an answer. A calibrated one is not known better than that.
DECIMALS = 5


class Verdict(msgspec.Struct, frozen=True, eq=False):
    """One picture, judged. `probability` is what the caller reads, and `review` was decided by it, so that an answer
    never contradicts itself; `probabilities`, float32 (classes,), has full precision."""

    label: str
    probability: float
    defect: bool
    review: bool
    probabilities: np.ndarray
    classes: tuple[str, ...]

    def of_each_class(self) -> dict[str, float]:
        """Class name to probability, as an answer gives it."""
        return {name: round(float(p), DECIMALS) for name, p in zip(self.classes, self.probabilities, strict=True)}


def judge(probabilities: np.ndarray, classes: tuple[str, ...], review_below: float) -> list[Verdict]:
    """Verdicts of calibrated probabilities.

    Args:
        probabilities: float (n, classes), each row adds up to 1.
        classes: names, in the order of the columns.
        review_below: a label that is less probable than this is for a human to confirm.
    """
    found = []
    for row in probabilities:
        best = int(row.argmax())
        label, probability = classes[best], round(float(row[best]), DECIMALS)
        found.append(Verdict(label, probability, label != GOOD, probability < review_below, row, classes))
    return found


# --- answers: what is sent, and what the OpenAPI document says of it ------------------------------------------


class ModelInfo(msgspec.Struct):
    """The model that answered."""

    name: str
    version: str


class Problem(msgspec.Struct):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    instance: str = ""
    errors: list[dict[str, str]] = []


_Probability = Annotated[float, Meta(description="calibrated: of all answers with 0.9, nine in ten are right")]
_Review = Annotated[bool, Meta(description="true where a human should look")]
_Index = Annotated[int, Meta(description="its place in the request, from 0")]


class Picture(msgspec.Struct):
    """How a picture was taken: its size upright, and what was done to bring it to what the network sees."""

    width: int
    height: int
    resized: Annotated[bool, Meta(description="true where it was not 96 x 96 pixels already")]
    squashed: Annotated[
        bool, Meta(description="true where it was no square, so that shapes changed: POST /v1/frames cuts instead")
    ]

    @classmethod
    def of(cls, size: tuple[int, int]) -> Picture:
        """size: (height, width), upright."""
        height, width = size
        return cls(width, height, (height, width) != (96, 96), height != width)


class ImageResult(msgspec.Struct, omit_defaults=True):
    """One picture of several: a label, or the problem with it."""

    index: _Index
    label: str | UnsetType = UNSET
    probability: _Probability | UnsetType = UNSET
    review: _Review | UnsetType = UNSET
    probabilities: dict[str, float] | UnsetType = UNSET
    problem: Problem | UnsetType = UNSET
    picture: Picture | UnsetType = UNSET


class InspectionOfOne(msgspec.Struct, omit_defaults=True):
    """The answer to one picture."""

    label: str
    probability: _Probability
    review: _Review
    model: ModelInfo
    timing_ms: dict[str, float]
    request_id: str
    probabilities: dict[str, float] | UnsetType = UNSET
    picture: Picture | UnsetType = UNSET


class InspectionOfMany(msgspec.Struct):
    """The answer to several pictures."""

    images: list[ImageResult]
    model: ModelInfo
    timing_ms: dict[str, float]
    request_id: str


class Defect(msgspec.Struct):
    """A defect on a frame."""

    box: Annotated[
        list[int], Meta(description="x0, y0, x1, y1 in pixels of the upright frame; x1 and y1 exclusive", min_length=4)
    ]
    label: str
    probability: _Probability
    review: _Review
    tiles: Annotated[int, Meta(description="how many tiles show it")]


class Tiling(msgspec.Struct):
    """The verdict map: what each tile of a frame says."""

    pixels: Annotated[int, Meta(description="edge of a tile, in pixels of the frame")]
    x: Annotated[list[int], Meta(description="left edges of the columns")]
    y: Annotated[list[int], Meta(description="upper edges of the rows")]
    labels: Annotated[list[list[str]], Meta(description="the label of each tile, row by row")]
    review: Annotated[list[list[int]], Meta(description="[row, column] of each tile that a human should look at")]


class FrameSize(msgspec.Struct):
    """The frame that coordinates refer to: upright, before any resize."""

    width: int
    height: int


class InspectionOfFrame(msgspec.Struct):
    """The answer to a frame."""

    frame: FrameSize
    defects: Annotated[list[Defect], Meta(description="from left to right")]
    tiles: Tiling
    model: ModelInfo
    timing_ms: dict[str, float]
    request_id: str


ANSWERS = (InspectionOfOne, InspectionOfMany, InspectionOfFrame, Problem)
encode = msgspec.json.Encoder().encode


def image_result(
    index: int, verdict: Verdict, *, probabilities: bool = False, size: tuple[int, int] | None = None
) -> ImageResult:
    """One picture's part of an answer about several."""
    every = verdict.of_each_class() if probabilities else UNSET
    picture = Picture.of(size) if size else UNSET
    return ImageResult(index, verdict.label, verdict.probability, verdict.review, every, picture=picture)


def not_an_image(index: int, document: dict[str, object]) -> ImageResult:
    """The same for one that could not be read; document: of its problem."""
    return ImageResult(index, problem=msgspec.convert(document, Problem))
