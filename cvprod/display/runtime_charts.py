"""The two charts of the framework chapter: what each runtime costs, and what each mismatch loses."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cvprod.display.charts import MARKERS, plain_log
from cvprod.display.plots import GREY, PALETTE
from cvprod.runtimes.parity import Result
from cvprod.runtimes.skew import Skew


def latencies(results: Sequence[Result]) -> Figure:
    """Median latency of one tile, a row a runtime, a marker for each number of threads; slowest first."""
    counts = sorted({r.threads for r in results})
    slowest = {r.name: r.p50_ms for r in results if r.threads == counts[0]}
    names = sorted(slowest, key=slowest.__getitem__)
    fig, ax = plt.subplots(figsize=(6.2, 0.36 * len(names) + 1.0))
    for name in names:
        found = [r.p50_ms for r in results if r.name == name]
        ax.plot([min(found), max(found)], [name, name], color=GREY, linewidth=1.2, linestyle="-", zorder=1)
    for k, count in enumerate(counts):
        part = {r.name: r.p50_ms for r in results if r.threads == count}
        label = f"{count} thread{'s' if count > 1 else ''}"
        ax.plot([part[n] for n in names], names, MARKERS[k], color=PALETTE[k], linestyle="none", label=label)
    ax.set_xscale("log")
    plain_log(ax.xaxis)
    ax.set_xlabel("median latency of one tile in ms (logarithmic)")
    ax.legend(loc="lower right")
    return fig


def margins(found: pd.DataFrame) -> Figure:
    """Each tile by its margin and by what a runtime takes off it (`parity.margins`); past the line, its class changes.

    Tiles whose lead grew are not drawn: they cannot change class.
    """
    fig, ax = plt.subplots(figsize=(6.2, 4.2))
    low, high = 1e-2, 1.3 * float(found["margin"].max())
    for k, (name, part) in enumerate(found.groupby("runtime", sort=False)):
        part = part[part["lost"] > low / 3]
        color, marker = PALETTE[k % len(PALETTE)], MARKERS[k % len(MARKERS)]
        ax.plot(part["margin"], part["lost"], marker, color=color, markersize=3.5, linestyle="none", label=name)
        past = part[part["flipped"]]
        ax.plot(past["margin"], past["lost"], "o", markersize=10, mfc="none", mec=color, mew=1.6, linestyle="none")
    ax.plot([low / 3, high], [low / 3, high], color=GREY, linewidth=1.4)
    ax.annotate("changes class", (0.03, 0.92), xycoords="axes fraction", fontsize=10)
    ax.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low / 3, high))
    for axis in (ax.xaxis, ax.yaxis):
        plain_log(axis)
    ax.set(xlabel="margin: the winner's lead in the reference (logits)", ylabel="lead lost in the runtime (logits)")
    ax.legend(loc="upper left", bbox_to_anchor=(0.0, -0.16), ncols=3, markerscale=1.6)
    return fig


def skews(found: Sequence[Skew]) -> Figure:
    """Answers changed by each mismatch, in % on a scale that shows one tile in a hundred beside all of them."""
    rows = [skew for skew in found if skew.kind]
    fig, ax = plt.subplots(figsize=(6.2, 0.3 * len(rows) + 1.0))
    kinds = list(dict.fromkeys(skew.kind for skew in rows))
    for k, kind in enumerate(kinds):
        part = [skew for skew in rows if skew.kind == kind]
        shares = np.array([skew.changed * 100 for skew in part])
        ax.barh([s.name for s in part], shares, color=PALETTE[k % len(PALETTE)], height=0.62, label=kind)
        for skew, share in zip(part, shares, strict=True):
            place = {"textcoords": "offset points", "va": "center", "fontsize": 10}
            ax.annotate(f"{share:.1f}", (share, skew.name), (4, 0), **place)
    ax.set_xscale("symlog", linthresh=1, linscale=0.5)
    ax.set_xlim(0, 300)
    ax.set_xticks([0, 1, 10, 100], ["0", "1", "10", "100"])
    ax.set_xlabel("answers changed, % of tiles (0 to 1 linear, then logarithmic)")
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.legend(loc="upper left", bbox_to_anchor=(-0.4, -0.11), ncols=3)
    return fig
