"""The figures of chapter 8: an alarm's clocks, the drift map, what drift does beside what detectors say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from cvprod.display.plots import BLUE, GREEN, GREY, ORANGE

if TYPE_CHECKING:
    from cvprod.monitoring.driftmap import DriftMap
    from cvprod.stack.alarm import Alarm


def alarm_clocks(alarm: Alarm, limit: float, names: Mapping[str, str]) -> Figure:
    """The measured shares over time, and below them a bar for each clock that was waited for.

    limit: of the shares. names: series of the alarm -> what the legend calls it.
    """
    fig, (above, below) = plt.subplots(2, 1, figsize=(6.2, 4.8), sharex=True, height_ratios=(3, 2))
    for series, name in names.items():
        points = np.array(alarm.series.get(series, []))
        if len(points):
            above.plot(points[:, 0], points[:, 1] * 100, label=name)
    above.axhline(limit * 100, color=GREY, ls="--", lw=1.2)
    above.annotate("limit", (1, limit * 100), (0, 3), xycoords=("axes fraction", "data"), ha="right",
                   textcoords="offset points", fontsize=10)  # fmt: skip
    above.axvspan(0, alarm.mended, color=ORANGE, alpha=0.12, lw=0)
    above.set(ylabel="slow, %", ylim=(0, None))
    above.legend()
    for y, (name, (start, end)) in enumerate(alarm.phases.items()):
        below.barh(y, max(end - start, 0.05), left=start, height=0.6, color=ORANGE if y < 4 else GREEN)
        below.annotate(f"{name}, {end - start:.1f} s", (end, y), (4, 0), textcoords="offset points", va="center",
                       fontsize=9.5)  # fmt: skip
    for moment, name in ((alarm.told, "told"), (alarm.resolved, "resolved")):
        for ax in (above, below):
            ax.axvline(moment, color=GREY, lw=1.2, ls=":")
        above.annotate(name, (moment, 1), (3, -10), xycoords=("data", "axes fraction"), textcoords="offset points",
                       fontsize=10)  # fmt: skip
    below.set(yticks=[], xlabel="seconds after the breach", xlim=(-alarm.quiet, alarm.resolved + 7))
    below.invert_yaxis()
    below.grid(axis="y", visible=False)
    return fig


def drift_map(found: DriftMap, detectors: Mapping[str, str]) -> Figure:
    """AUC of each detector at each dial and strength; on the right what that does to the accuracy.

    detectors: name -> heading.
    """
    settings = list(found.accuracy)
    values = np.array([[found.at(*setting, name).auc for name in detectors] for setting in settings])
    fig, ax = plt.subplots(figsize=(6.6, 0.27 * len(settings) + 1.2))
    ax.imshow(values, cmap="YlGnBu", vmin=0.4, vmax=1.35, aspect="auto")
    for y, row in enumerate(values):
        for x, value in enumerate(row):
            ax.text(x, y, f"{value:.2f}", ha="center", va="center", fontsize=8.5, color="#111111")  # no ink of ours
        accuracy = found.accuracy[settings[y]].estimate
        ax.text(len(row) - 0.4, y, f"{accuracy:.1%}", va="center", fontsize=9)
    ax.text(len(detectors) - 0.4, -0.75, "accuracy", fontsize=9, va="bottom")
    ax.set_xticks(range(len(detectors)), detectors.values(), fontsize=9)
    ax.xaxis.tick_top()
    labels = [f"{dial}, {strength}" if dial != "none" else "nothing" for dial, strength in settings]
    ax.set_yticks(range(len(settings)), labels, fontsize=9)
    ax.grid(visible=False)
    ax.tick_params(length=0)
    for side in ax.spines.values():
        side.set_visible(False)
    return fig


def harm(points: Sequence[tuple[str, float, float]]) -> Figure:
    """What each dial does to the accuracy, beside how often a detector speaks; the most harmful first.

    points: (name, percentage points of accuracy lost, share of windows with an alarm).
    """
    ordered = sorted(points, key=lambda point: -point[1])
    names, lost, speaks = zip(*ordered, strict=True)
    fig, (left, right) = plt.subplots(1, 2, figsize=(6.4, 0.36 * len(points) + 1.0), sharey=True)
    rows = np.arange(len(points))
    left.barh(rows, lost, height=0.6, color=[ORANGE if value > 2 else GREY for value in lost])
    right.barh(rows, [100 * s for s in speaks], height=0.6, color=BLUE)
    for ax, values, unit in ((left, lost, ""), (right, [100 * s for s in speaks], " %")):
        for y, value in enumerate(values):
            ax.annotate(f"{value:.1f}" if not unit else f"{value:.0f}{unit}", (max(value, 0), y), (4, 0),
                        textcoords="offset points", va="center", fontsize=9)  # fmt: skip
        ax.grid(axis="y", visible=False)
    left.set(yticks=rows, yticklabels=names, xlabel="accuracy lost, points", xlim=(min(0, *lost) - 1, max(lost) * 1.2))
    right.set(xlabel="windows with an alarm, %", xlim=(0, 124))
    right.set_xticks([0, 50, 100])
    left.invert_yaxis()
    return fig


def roc(null: np.ndarray, scores: Mapping[str, np.ndarray], columns: Mapping[str, int]) -> Figure:
    """Windows with a change that raise an alarm, over null windows that do, for every threshold; by detector.

    null: (count, detectors). scores: title -> (windows, detectors). columns: detector -> its column.
    """
    fig, axes = plt.subplots(1, len(scores), figsize=(2.9 * len(scores), 3.0), sharey=True, squeeze=False)
    for ax, (title, found) in zip(axes.flat, scores.items(), strict=True):
        for name, k in columns.items():
            cuts = np.r_[np.inf, np.sort(np.r_[null[:, k], found[:, k]])[::-1], -np.inf]
            ax.plot([100 * (null[:, k] >= c).mean() for c in cuts], [100 * (found[:, k] >= c).mean() for c in cuts],
                    label=name, lw=1.5)  # fmt: skip
        ax.set(title=title, xlabel="false alarms, %", xlim=(-2, 102), ylim=(-2, 104))
    axes[0, 0].set_ylabel("changes seen, %")
    axes[0, -1].legend(fontsize=8.5, loc="lower right")
    return fig


def waterfall(spans: Sequence[tuple[str, float, float]]) -> Figure:
    """One trace: (name, start, end) in milliseconds after its begin, the outermost first."""
    fig, ax = plt.subplots(figsize=(6.2, 0.4 * len(spans) + 0.9))
    for y, (name, start, end) in enumerate(spans):
        ax.barh(y, max(end - start, 1e-3), left=start, height=0.6, color=BLUE if y else GREY)
        ax.annotate(f"{name}, {end - start:.2f} ms", (end, y), (4, 0), textcoords="offset points", va="center",
                    fontsize=10)  # fmt: skip
    ax.set(yticks=[], xlabel="ms after the request was received", xlim=(0, max(e for _, _, e in spans) * 1.45))
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    return fig
