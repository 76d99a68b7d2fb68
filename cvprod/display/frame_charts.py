"""A long frame on a narrow page, with the boxes that are true and those that were found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from cvprod.display.plots import BLUE, ORANGE


def frame(
    image: np.ndarray, truth: Iterable[Sequence[int]], found: Iterable[tuple[Sequence[int], str]], *, parts: int = 3
) -> Figure:
    """The frame in parts, one below the other, on axes in its own pixels.

    Args:
        image: uint8 (H, W).
        truth: boxes x0 y0 x1 y1 of what is there, drawn dashed.
        found: box and words of what was found.
        parts: into how many pieces the width is cut.
    """
    height, width = image.shape
    part = -(-width // parts)
    fig, axes = plt.subplots(parts, 1, figsize=(6.2, parts * (6.2 * height / part + 0.35)), squeeze=False)
    for k, ax in enumerate(axes[:, 0]):
        shown = image[:, k * part : (k + 1) * part]
        extent = (k * part, k * part + shown.shape[1], height, 0)
        # Half as fine is as fine as the page shows it; grain in fewer greys takes half the bytes.
        shown = cv2.resize(shown, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA) // 16 * 16 + 8
        ax.imshow(shown, cmap="gray", vmin=0, vmax=255, extent=extent, interpolation="none")
        for box in truth:
            ax.add_patch(_outline(box, ORANGE, "--"))
        for box, words in found:
            ax.add_patch(_outline(box, BLUE, "-"))
            if k * part <= box[0] < (k + 1) * part:
                late = box[0] > (k + 0.8) * part  # no room for words on its right
                # white on a dark ground of its own: steel has every grey
                ax.text(min(box[2], (k + 1) * part) - 6 if late else box[0] + 6, box[1] + 8, words, color="white",
                        fontsize=8, va="top", ha="right" if late else "left",
                        bbox={"facecolor": "#14181e", "edgecolor": "none", "pad": 1.5})  # fmt: skip
        ax.grid(False)
        ax.set(xlim=(k * part, min((k + 1) * part, width)), ylim=(height, 0), yticks=[0, height])
        for side in ax.spines.values():
            side.set_visible(False)
    axes[-1, 0].set_xlabel("x in pixels of the frame; dashed: what is there, solid: what was found")
    return fig


def _outline(box: Sequence[int], colour: str, style: str) -> plt.Rectangle:
    x0, y0, x1, y1 = box
    return plt.Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=colour, linestyle=style, linewidth=1.6)
