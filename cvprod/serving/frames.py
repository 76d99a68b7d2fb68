"""Frames in the service: how large they may be, and what is said of them. The arithmetic is in `tiling`."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from . import images, tiling
from .errors import InvalidImage
from .settings import Settings
from .tiling import Grid
from .verdict import Defect, FrameSize, InspectionOfFrame, ModelInfo, Tiling, Verdict, judge

if TYPE_CHECKING:  # jobs elsewhere use the rest without the service's telemetry
    from .context import Context
    from .engine import Result
    from .model import Model


def grid_over(settings: Settings, height: int, width: int) -> Grid:
    """The tiles of a frame. Raises InvalidImage: it is smaller than half a tile, or takes too many of them."""
    tile, least = settings.tile_pixels, settings.tile_pixels // 2
    if min(height, width) < least:
        raise InvalidImage(
            "image-too-small",
            f"{width} x {height} pixels; a frame has at least {least} x {least}, half a tile. "
            "Send a picture of one tile to POST /v1/inspect.",
        )
    grid = Grid.over(height, width, tile, settings.tile_overlap)
    if grid.count > settings.max_images:
        raise InvalidImage(
            "image-too-large",
            f"{width} x {height} pixels make {grid.count} tiles of {tile} pixels; at most {settings.max_images} "
            "in one frame. Send fewer rows of it at a time.",
        )
    return grid


async def inspect(context: Context, data: bytes, *, timeout: float) -> tuple[Result, Grid]:
    """Decode, cut and classify a frame. Raises ServiceError."""
    settings = context.settings
    step = settings.tile_pixels - settings.tile_overlap
    expected = max(1, min(settings.max_images, images.claimed(data) // step**2))
    return await context.engine.inspect_frame(data, functools.partial(grid_over, settings), expected, timeout=timeout)


def judged(model: Model, image: np.ndarray, grid: Grid, review_below: float) -> list[Verdict]:
    """The verdicts on a frame's tiles without the service, a few at a time: image is uint8 (H, W), upright."""
    tiles = tiling.cut(image, grid)
    odds = [model.probabilities(model.run(tiles[i : i + 8])) for i in range(0, len(tiles), 8)]
    return judge(np.concatenate(odds), model.card.classes, review_below)


def defects(grid: Grid, verdicts: list[Verdict]) -> list[Defect]:
    """Boxes of a frame, as every interface says them."""
    return [Defect(list(f.box), f.label, f.probability, f.review, f.tiles) for f in tiling.locate(grid, verdicts)]


def answer(context: Context, result: Result, grid: Grid, **asked: Any) -> InspectionOfFrame:
    """What is said of a frame; `asked` as for `Context.judged`, to which its tiles are as many pictures."""
    verdicts: list[Verdict] = context.judged(result, **asked)  # type: ignore[assignment]  # a frame has no bad tiles
    columns = len(grid.xs)
    rows = [verdicts[n : n + columns] for n in range(0, grid.count, columns)]
    return InspectionOfFrame(
        FrameSize(grid.width, grid.height),
        defects(grid, verdicts),
        Tiling(
            grid.tile,
            list(grid.xs),
            list(grid.ys),
            [[verdict.label for verdict in row] for row in rows],
            [[r, c] for r, row in enumerate(rows) for c, verdict in enumerate(row) if verdict.review],
        ),
        ModelInfo(result.model.name, result.model.version),
        result.timing_ms(),
        asked.get("request_id", ""),
    )
