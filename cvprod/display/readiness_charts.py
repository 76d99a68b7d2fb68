"""Charts of decisions against the contract: where to set the threshold, and where to run the model."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import NormalDist

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cvprod.display.charts import MARKERS, plain_log
from cvprod.display.plots import GREEN, GREY, PALETTE

_TICKS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
_ENDS = (0.003, 0.5)  # of both axes, as shares


def det(
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]],
    points: Mapping[str, Mapping[str, tuple[float, float]]],
    *,
    false_rejects: float,
    misses: float,
) -> Figure:
    """Misses over false rejects on normal-deviate axes, where a pair of normal scores makes a straight line.

    curves: name -> (false rejects, misses), shares of one test at every threshold. points: what is marked on them, such
    as "argmax": name -> the pair; the last kind is filled. false_rejects, misses: the limits, drawn as the box in which
    both are kept. Rates below 0.3 % are drawn at the edge.
    """
    fig, ax = plt.subplots(figsize=(6.2, 4.4))
    edge = _deviate(_ENDS[0])
    ax.add_patch(Rectangle((edge, edge), _deviate(false_rejects) - edge, _deviate(misses) - edge,
                           facecolor=GREEN, alpha=0.16, edgecolor="none", zorder=0))  # fmt: skip
    ax.annotate("contract kept", (edge, edge), (5, 5), textcoords="offset points", fontsize=10)
    for number, (name, (rejects, missed)) in enumerate(curves.items()):
        seen = (rejects > _ENDS[0]) & (rejects < _ENDS[1]) & (missed < _ENDS[1])
        pairs = np.column_stack([rejects, missed])[seen]
        corners = (
            np.r_[True, np.diff(np.diff(pairs, axis=0) != 0, axis=0).any(1), True] if len(pairs) > 2 else slice(None)
        )
        style = PALETTE[number % len(PALETTE)], MARKERS[number % len(MARKERS)]
        ax.plot(*_deviate(pairs[corners].T), color=style[0], linewidth=1.3, linestyle="-")
        for kind, found in points.items():
            last = kind == list(points)[-1]
            ax.plot(*_deviate(np.array(found[name])), marker=style[1], color=style[0], linestyle="", markersize=8,
                    markerfacecolor=style[0] if last else "none", label=name if last else None)  # fmt: skip
    ticks, labels = _deviate(np.array(_TICKS)), [f"{tick * 100:g}" for tick in _TICKS]
    ax.set_xticks(ticks, labels)
    ax.set_yticks(ticks, labels)
    ax.set(xlim=_deviate(np.array(_ENDS)), ylim=_deviate(np.array([_ENDS[0], 0.25])))
    ax.set(xlabel="false rejects, % of the clean tiles", ylabel="misses, % of the defects")
    ax.legend(loc="upper left", bbox_to_anchor=(0, -0.15), ncols=2)
    return fig


_NORMAL = NormalDist()


def _deviate(share: float | np.ndarray) -> np.ndarray:
    return np.vectorize(_NORMAL.inv_cdf)(np.clip(share, _ENDS[0], _ENDS[1]))


def placements(options: pd.DataFrame, *, limit_ms: float, limit_eur: float, later_ms: float | None = None) -> Figure:
    """p99 over the price of a million tiles: a line for each network and place, a marker for each number of machines.

    options: rows with the columns network, place, machines, p99_ms, eur_per_million; rows that are not finite are left
    out. The box is where both limits are kept. later_ms: another limit of time, drawn as a line.
    """
    fig, ax = plt.subplots(figsize=(6.2, 4.4))
    shown = options[np.isfinite(options.p99_ms)]
    networks, places = list(dict.fromkeys(options.network)), list(dict.fromkeys(options.place))
    low_x, low_y = shown.eur_per_million.min() / 1.5, min(shown.p99_ms.min(), limit_ms) / 2
    ax.add_patch(Rectangle((low_x, low_y), limit_eur - low_x, limit_ms - low_y,
                           facecolor=GREEN, alpha=0.16, edgecolor="none", zorder=0))  # fmt: skip
    for (network, place), rows in shown.groupby(["network", "place"], sort=False):
        colour = PALETTE[networks.index(network)]
        first = place == places[0]
        ax.plot(rows.eur_per_million, rows.p99_ms, color=colour, marker=MARKERS[networks.index(network)], markersize=6,
                linestyle="-" if first else ":", linewidth=1.2, markerfacecolor=colour if first else "none",
                label=f"{network}, {place}")  # fmt: skip
        for row in (rows.iloc[0], rows.iloc[-1]):
            ax.annotate(str(row.machines), (row.eur_per_million, row.p99_ms), (0, 7), textcoords="offset points",
                        ha="center", fontsize=9)  # fmt: skip
    ax.set(xscale="log", yscale="log")
    top = max(shown.p99_ms.max(), later_ms or 0) * 1.7
    ax.set(xlim=(low_x, shown.eur_per_million.max() * 1.4), ylim=(low_y, top))
    if later_ms is not None:
        ax.axhline(later_ms, color=GREY, linestyle="--", linewidth=1.4)
        ax.annotate("gun moved downstream", (low_x, later_ms), (4, 3), textcoords="offset points", fontsize=10)
    ax.annotate("contract kept", (low_x, low_y), (4, 5), textcoords="offset points", fontsize=10)
    plain_log(ax.xaxis)
    plain_log(ax.yaxis)
    ax.set(xlabel="EUR per million tiles", ylabel="p99 in ms, from camera to label")
    ax.legend(loc="upper left", bbox_to_anchor=(0, -0.15), ncols=2)
    return fig
