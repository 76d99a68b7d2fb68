"""Charts that more than one chapter draws. Each takes measured objects and returns a figure with units on its axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from cvprod.contract import Check
from cvprod.display.plots import GREY, PALETTE
from cvprod.measure import Latency
from cvprod.realtime.stages import Span
from cvprod.traffic.load import Load

if TYPE_CHECKING:
    from cvprod.models import Evaluation  # which imports PyTorch

MARKERS = "osD^vP*Xh<>"


def _plain(value: float) -> str:
    """A number as a person writes it: three significant digits, no exponent."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def plain_log(axis, subs: Sequence[float] = (1.0, 2.0, 5.0)) -> None:
    """Label a logarithmic axis with plain numbers (0.5, 1, 2, 5, 10) in place of powers of ten."""
    axis.set_major_locator(LogLocator(subs=subs, numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda value, _: _plain(value)))
    axis.set_minor_formatter(NullFormatter())


def bars(
    values: Mapping[str, float], xlabel: str, *, limit: float | None = None, limit_name: str = "contract", log=False
) -> Figure:
    """Horizontal bars, one a name, each with its number; `limit` draws a line and lifts out what is beyond it."""
    names, numbers = list(values), np.array(list(values.values()), dtype=float)
    fig, ax = plt.subplots(figsize=(6.2, 0.42 * len(names) + 1.1))
    over = numbers > limit if limit is not None else np.zeros(len(names), bool)
    ax.barh(names, numbers, color=np.where(over, PALETTE[1], PALETTE[0]), height=0.62)
    if limit is not None:
        ax.axvline(limit, color=GREY, linestyle="--", linewidth=1.4)
        ax.annotate(f"{limit_name} {_plain(limit)}", (limit, 1), (0, 3), xycoords=("data", "axes fraction"),
                    textcoords="offset points", ha="center", va="bottom", fontsize=10)  # fmt: skip
    if log:
        ax.set_xscale("log")
        low = min(numbers.min(), limit or np.inf)
        ax.set_xlim(low / 2, max(numbers.max(), limit or 0) * 4)
        plain_log(ax.xaxis, (1.0,))
    else:
        ax.set_xlim(0, max(numbers.max(), limit or 0) * 1.18)
    ax.set_xlabel(xlabel)
    ax.invert_yaxis()
    labels = [
        ax.annotate(_plain(number), (number, y), (4, 0), textcoords="offset points", va="center", fontsize=10)
        for y, number in enumerate(numbers)
    ]
    if limit is not None:
        fig.draw_without_rendering()  # so that labels know how far they reach
        ends = [ax.transData.inverted().transform(label.get_window_extent())[1, 0] for label in labels]
        for label, number, end in zip(labels, numbers, ends, strict=True):
            if number < limit < end:  # it would stand on the line: into the bar with it
                label.set(position=(-4, 0), ha="right", color="white")
    ax.grid(axis="y", visible=False)
    return fig


def distribution(latencies: Mapping[str, Latency], marks: Sequence[float] = (50, 95, 99)) -> Figure:
    """Share of calls that were at most so slow, with percentiles and their 95 % bootstrap intervals.

    An interval whose upper end is unknown, of too few calls, runs out of the plot at the right.
    """
    fig, ax = plt.subplots()
    edge = 1.3 * max(latency.samples.max() for latency in latencies.values()) * 1e3
    for number, (name, latency) in enumerate(latencies.items()):
        colour = PALETTE[number % len(PALETTE)]
        ordered = np.sort(latency.samples) * 1e3
        ax.step(ordered, np.arange(1, ordered.size + 1) / ordered.size * 100, where="post", color=colour, label=name)
        for q in marks:
            low, high = np.minimum(latency.interval_ms(q), edge)
            ax.plot([low, high], [q, q], color=colour, linestyle="-", linewidth=4, alpha=0.5, solid_capstyle="butt")
            ax.plot(latency.p(q) * 1e3, q, "o", color=colour)
            ax.annotate(f"p{q:g}", (high, q), (5, -4), textcoords="offset points", fontsize=10, va="center")
    ax.set_xscale("log")
    plain_log(ax.xaxis)
    ax.set_xlim(right=edge)
    ax.set(xlabel="latency in ms", ylabel="calls at most this slow, %", ylim=(0, 103))
    if len(latencies) > 1:
        ax.legend(loc="lower right")
    return fig


def load_timeline(loads: Mapping[str, Load]) -> Figure:
    """Latency of every call over the time at which it was due: one panel a load test, axes shared."""
    fig, axes = plt.subplots(len(loads), 1, sharex=True, sharey=True, figsize=(6.2, 1.9 * len(loads) + 0.6))
    for number, (ax, (name, tested)) in enumerate(zip(np.atleast_1d(axes), loads.items(), strict=True)):
        samples = tested.latency.samples * 1e3
        ax.scatter(tested.due, samples, s=9, color=PALETTE[number % len(PALETTE)], marker=MARKERS[number])
        ax.axhline(tested.latency.p95_ms, color=GREY, linestyle="--", linewidth=1.4)
        ax.set_title(f"{name}: {samples.size} calls, p95 (dashed) {_plain(tested.latency.p95_ms)} ms")
        ax.set_yscale("log")
        plain_log(ax.yaxis, (1.0,))
        ax.set_ylabel("latency in ms")
    np.atleast_1d(axes)[-1].set_xlabel("time at which the call was due, s")
    return fig


def roofline(points: Mapping[str, tuple[float, float]], *, peak: float, bandwidth: float) -> Figure:
    """Attained FLOP/s over arithmetic intensity, under the roof that the machine's two measured peaks make.

    points: name -> (FLOP per byte moved, FLOP/s attained); peak in FLOP/s; bandwidth in bytes/s. Model: Williams,
    Waterman and Patterson, "Roofline", Communications of the ACM 52(4), 2009.
    """
    fig, ax = plt.subplots(figsize=(6.2, 4.2))
    intensity = np.array([p[0] for p in points.values()])
    x = np.geomspace(min(intensity.min(), peak / bandwidth) / 8, max(intensity.max(), peak / bandwidth) * 4, 200)
    ax.plot(x, np.minimum(peak, x * bandwidth) / 1e9, color=GREY, linestyle="-")
    ax.annotate(f"compute {_plain(peak / 1e9)} GFLOP/s", (x[-1], peak / 1e9), (0, 5), ha="right",
                textcoords="offset points", fontsize=10)  # fmt: skip
    middle = np.sqrt(x[0] * peak / bandwidth)  # of the slope; above it the plot is always empty
    ax.annotate(f"memory {_plain(bandwidth / 1e9)} GB/s", (middle, middle * bandwidth / 1e9), (-8, 4), ha="right",
                textcoords="offset points", fontsize=10)  # fmt: skip
    for number, (name, (flop_per_byte, rate)) in enumerate(points.items()):
        ax.plot(flop_per_byte, rate / 1e9, linestyle="", marker=MARKERS[number % len(MARKERS)],
                color=PALETTE[number % len(PALETTE)], markersize=8, label=name)  # fmt: skip
    ax.set_xscale("log")
    ax.set_yscale("log")
    plain_log(ax.xaxis)
    plain_log(ax.yaxis)
    ax.set(xlabel="arithmetic intensity, FLOP per byte moved", ylabel="attained, GFLOP/s")
    ax.legend(loc="upper left", bbox_to_anchor=(0, -0.17), ncols=2)
    return fig


def tradeoff(
    latencies: Mapping[str, Latency],
    evaluations: Mapping[str, Evaluation],
    *,
    front: Sequence[bool],
    limit_ms: float | None = None,
) -> Figure:
    """Accuracy over median latency with 95 % intervals on both, the Pareto front joined.

    latencies and evaluations share their names and order; front: which of the names lie on the front; limit_ms: a
    line.
    """
    fig, ax = plt.subplots(figsize=(6.2, 4.2))
    p50 = np.array([latency.p50_ms for latency in latencies.values()])
    spans = ((e.interval("accuracy"), e.accuracy) for e in (evaluations[name] for name in latencies))
    accuracy = np.array([(low, value, high) for (low, high), value in spans]) * 100
    on = np.array(front, dtype=bool)
    order = np.argsort(p50[on])
    ax.plot(p50[on][order], accuracy[on, 1][order], color=GREY, linestyle="-", drawstyle="steps-post", zorder=1)
    for number, (name, latency) in enumerate(latencies.items()):
        low, high = latency.interval_ms(50)
        colour = PALETTE[number % len(PALETTE)]
        ax.errorbar(
            p50[number], accuracy[number, 1],
            xerr=[[max(0.0, p50[number] - low)], [max(0.0, high - p50[number])]],
            yerr=np.abs(accuracy[number, [0, 2]] - accuracy[number, 1])[:, None],
            fmt=MARKERS[number % len(MARKERS)], color=colour, elinewidth=1, markersize=8,
            markerfacecolor=colour if on[number] else "none", label=name + ("" if on[number] else " (beaten)"),
        )  # fmt: skip
    if limit_ms is not None:
        ax.axvline(limit_ms, color=GREY, linestyle="--", linewidth=1.4)
        ax.annotate(f"contract {_plain(limit_ms)} ms", (limit_ms, 1), (0, 3), xycoords=("data", "axes fraction"),
                    textcoords="offset points", ha="center", fontsize=10)  # fmt: skip
    ax.set_xscale("log")
    plain_log(ax.xaxis)
    ax.set(xlabel="latency p50 in ms, one tile, one thread", ylabel="accuracy, %")
    ax.legend(loc="upper left", bbox_to_anchor=(0, -0.17), ncols=2)
    return fig


def techniques(board: pd.DataFrame, families: Mapping[str, Sequence[str]]) -> Figure:
    """Accuracy against the baseline over median latency, one labelled point a row, one marker a family.

    board: indexed by name, with the columns p50_ms, difference, difference_low and difference_high (shares, of
    `cvprod.optimize.compare.judge`); families: name of a family -> names of its rows. Bars are the intervals. Raises
    ValueError for rows that no family names, since the plot would silently leave them out.
    """
    if homeless := sorted(set(board.index) - {name for names in families.values() for name in names}):
        raise ValueError(f"no family names {', '.join(homeless)}.")
    fig, ax = plt.subplots(figsize=(6.2, 4.6))
    ax.axhline(0, color=GREY, linestyle="--", linewidth=1.4)
    for (family, names), marker in zip(families.items(), MARKERS, strict=False):
        rows = board.loc[list(names)]
        points, low, high = (rows[f"difference{end}"].to_numpy() * 100 for end in ("", "_low", "_high"))
        bars = [np.maximum(0, points - low), np.maximum(0, high - points)]
        ax.errorbar(rows.p50_ms.to_numpy(), points, yerr=bars, fmt=marker, ms=8, elinewidth=1, label=family)
    ax.set(xscale="log", xlabel="latency p50 in ms, one tile, one thread")
    ax.set_ylabel("accuracy against the baseline, points")
    plain_log(ax.xaxis)
    ax.margins(0.1, 0.42)
    ordered = board.sort_values("p50_ms")
    reach = np.log(ordered.p50_ms.iloc[-1] / ordered.p50_ms.iloc[0]) / 300  # of a point of type, about
    last = [-np.inf, -np.inf]  # where the last name above, and below, begins: of neighbours, one moves aside
    for number, (name, row) in enumerate(ordered.iterrows()):
        below = number % 2
        at, end = np.log(row.p50_ms), row["difference_low" if below else "difference_high"] * 100
        last[below] = max(at, last[below] + 13 * reach)
        aside = (last[below] - at) / reach if reach else 0
        ax.annotate(name, (row.p50_ms, end), (aside - 2, -6 if below else 6), textcoords="offset points", fontsize=9,
                    rotation=-50 if below else 50, va="top" if below else "bottom")  # fmt: skip
    ax.legend(loc="upper left", bbox_to_anchor=(0, -0.15), ncols=2)
    return fig


def contract_distance(checks: Mapping[str, Sequence[Check]]) -> Figure:
    """How far each candidate is from each limit: 1 is the limit, the good side is always to the left."""
    fig, ax = plt.subplots(figsize=(6.2, 4.0))
    names = list(dict.fromkeys(c.name for found in checks.values() for c in found))
    for number, (candidate, found) in enumerate(checks.items()):
        colour, marker = PALETTE[number % len(PALETTE)], MARKERS[number % len(MARKERS)]
        shift = 0.24 * (number - (len(checks) - 1) / 2)  # side by side, so that equal ones do not hide each other
        ratios = [(_strain(c), names.index(c.name) + shift) for c in found if c.measured is not None]
        x, y = np.array(ratios).reshape(-1, 2).T
        ax.plot(x, y, linestyle="", marker=marker, color=colour, markersize=8, label=candidate)
    ax.axvline(1, color=GREY, linestyle="--", linewidth=1.4)
    ax.set_xscale("log")
    low, high = ax.get_xlim()
    ax.set_xlim(min(low, 0.5), max(high, 2))
    ax.axvspan(1, ax.get_xlim()[1], color=PALETTE[1], alpha=0.1, linewidth=0)
    plain_log(ax.xaxis)
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlabel("measured over limit (right of 1: broken)")
    ax.legend(loc="upper left", bbox_to_anchor=(-0.3, -0.16), ncols=2)
    return fig


def _strain(check: Check) -> float:
    """Above 1 where the limit is broken. Shares to be kept high are compared by what they miss of 1."""
    assert check.measured is not None
    if check.direction == "max":
        return max(check.measured, 1e-3 * check.limit) / check.limit
    if check.unit == "share":
        return max(1 - check.measured, 1e-3) / (1 - check.limit)
    return check.limit / max(check.measured, 1e-9)


def gantt(spans: Sequence[Span], items: Sequence[int]) -> Figure:
    """When each stage of a pipeline worked on which item: a lane for each thread, a number for each item."""
    chosen = [span for span in spans if span.item in items]
    if not chosen:
        raise ValueError(f"none of the items {list(items)} is in the spans.")
    lanes = list(dict.fromkeys((s.stage, s.worker) for s in sorted(chosen, key=lambda s: (s.item, s.start, s.worker))))
    many = {stage for stage, worker in lanes if worker > 0}
    first = min(span.start for span in chosen)
    fig, ax = plt.subplots(figsize=(6.2, 0.5 * len(lanes) + 1.0))
    for span in chosen:
        lane, left, width = lanes.index((span.stage, span.worker)), (span.start - first) * 1e3, span.end - span.start
        colour = PALETTE[list(items).index(span.item) % len(PALETTE)]
        ax.barh(lane, width * 1e3, left=left, height=0.66, color=colour, edgecolor=GREY, linewidth=0.5)
        if width > 0.03 * (max(s.end for s in chosen) - first):
            ax.text(left + width * 500, lane, str(span.item), ha="center", va="center", fontsize=9, color="white")
    ax.set_yticks(range(len(lanes)), [f"{stage} {worker + 1}" if stage in many else stage for stage, worker in lanes])
    ax.invert_yaxis()
    ax.set_xlabel("ms")
    return fig


def curves(
    x: Sequence[float], series: Mapping[str, Sequence[float]], xlabel: str, ylabel: str, *, log: str = "",
    points: Sequence[str] = (),
) -> Figure:  # fmt: skip
    """Lines with markers over a common x; `log` names logarithmic axes ("x", "xy"), `points` what is not joined."""
    fig, ax = plt.subplots()
    for number, (name, values) in enumerate(series.items()):
        joined = {"linestyle": ""} if name in points else {}
        ax.plot(x, values, marker=MARKERS[number % len(MARKERS)], label=name, **joined)
    for axis, chosen, set_scale in ((ax.xaxis, "x" in log, ax.set_xscale), (ax.yaxis, "y" in log, ax.set_yscale)):
        if chosen:
            set_scale("log")
            plain_log(axis)
    if "x" in log:  # a reader looks for the sizes that were tried, not for powers of ten
        ax.set_xticks(x, [f"{value:g}" for value in x])
        ax.minorticks_off()
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if len(series) > 3:  # it would cover some of what it names
        ax.legend(loc="upper left", bbox_to_anchor=(0, -0.17), ncols=2)
    elif len(series) > 1:
        ax.legend()
    return fig
