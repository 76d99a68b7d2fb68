"""Charts of a roll-out: whose answers callers got, moment by moment."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from cvprod.display.plots import GREY, PALETTE
from cvprod.traffic.callers import Call

BIN = 0.1  # seconds


def version_strip(sessions: Sequence[tuple[str, Sequence[Call], Sequence[tuple[float, str]]]]) -> Figure:
    """The share of each version among the requests sent in each tenth of a second; a panel for each session.

    sessions: (title, calls, marks); a mark is a moment (time.monotonic()) and what happened then. Tenths without a
    request are white. Raises ValueError for a session without calls.
    """
    if any(not calls for _, calls, _ in sessions):
        raise ValueError("a session without calls has nothing to show.")
    versions = sorted({call.version for _, calls, _ in sessions for call in calls})
    fig, axes = plt.subplots(len(sessions), 1, figsize=(6.4, 2.5 * len(sessions) + 0.4), squeeze=False)
    for ax, (title, calls, marks) in zip(axes[:, 0], sessions, strict=True):
        start = calls[0].sent
        edges = np.arange(0, max(call.sent for call in calls) - start + BIN, BIN)
        counts = [np.histogram([c.sent - start for c in calls if c.version == v], edges)[0] for v in versions]
        total = np.maximum(np.sum(counts, axis=0), 1)
        ax.stackplot(edges[:-1], *(100 * n / total for n in counts), labels=versions, colors=PALETTE, step="post")
        for number, (moment, what) in enumerate(marks):
            ax.axvline(moment - start, color=GREY, linestyle="--", linewidth=1)
            ax.annotate(what, (moment - start, 103 + 13 * (number % 2)), fontsize=9, ha="center")
        ax.set(ylim=(0, 128), xlim=(0, edges[-1]), ylabel="answers, %", xlabel="time, s")
        ax.set_yticks([0, 50, 100])
        ax.set_title(title)
    axes[-1, 0].legend(loc="upper center", bbox_to_anchor=(0.5, -0.28), ncols=len(versions))
    return fig
