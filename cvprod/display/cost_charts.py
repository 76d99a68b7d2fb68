"""Charts of chapter 11: cost over utilisation with its break-evens, a tornado, a spread, and starts in turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from cvprod.costs.options import Option
from cvprod.display.charts import MARKERS, plain_log
from cvprod.display.plots import BLUE, GREY, INK, ORANGE


def utilisation(chosen: Mapping[str, Option], *, limit: float, against: Sequence[str]) -> Figure:
    """EUR for a million tiles over the share of the time in which a machine works.

    chosen: label -> option. limit: the contract's. against: labels of options that are paid by the tile; a dot marks
    where each machine becomes cheaper than them.
    """
    shares = np.geomspace(0.01, 1, 120)
    fig, ax = plt.subplots(figsize=(6.2, 4.2))
    for label, option in chosen.items():
        ax.plot(shares, [option.per_million(share) for share in shares], label=label)
    for label in against:
        for machine in chosen.values():
            if machine.kind != "function" and (share := machine.break_even(chosen[label])):
                ax.plot(share, machine.per_million(share), "o", mfc="none", mec=INK, ms=8, mew=1.3, zorder=5)
    ax.axhline(limit, color=GREY, linestyle="--", linewidth=1.4)
    ax.annotate("contract", (0.01, limit), (2, 4), textcoords="offset points", fontsize=10)
    ax.set(xscale="log", yscale="log", xlabel="share of the time in which it works", ylabel="EUR for a million tiles")
    plain_log(ax.xaxis, (1.0, 2.0, 5.0))
    plain_log(ax.yaxis, (1.0, 3.0))
    machine = next(option for option in chosen.values() if option.kind == "vm")
    top = ax.secondary_xaxis("top", functions=(lambda x: x * machine.tiles_per_s, lambda x: x / machine.tiles_per_s))
    top.set_xlabel("tiles/s on average, one machine")
    plain_log(top.xaxis, (1.0, 3.0))
    ax.legend(loc="upper left", bbox_to_anchor=(0, -0.2), ncols=2)
    return fig


def starts(seconds: Mapping[str, Sequence[float]]) -> Figure:
    """Each start as a mark, its kind's median as a bar; milliseconds."""
    fig, ax = plt.subplots(figsize=(6.2, 0.5 * len(seconds) + 1.2))
    for row, values in enumerate(seconds.values()):
        times = np.asarray(values) * 1e3
        ax.barh(row, np.median(times), color=BLUE, height=0.55)
        ax.plot(times, np.full(times.size, row), MARKERS[0], color=ORANGE, ms=5, ls="")
        ax.annotate(f"{np.median(times):,.0f}", (0, row), (5, 0), textcoords="offset points", va="center",
                    color="white", fontsize=10)  # fmt: skip
    ax.set_yticks(range(len(seconds)), list(seconds))
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.set_xlabel("ms from nothing to the first answer (dots: each start)")
    return fig


def tornado(bars: Sequence[tuple[str, float, float]], base: float, names: Mapping[str, str]) -> Figure:
    """Net present value at the low and the high end of each assumption, in thousand EUR, the widest first."""
    fig, ax = plt.subplots(figsize=(6.2, 0.38 * len(bars) + 1.2))
    for row, (_, low, high) in enumerate(bars):
        ax.barh(
            row, (low - base) / 1e3, left=base / 1e3, color=ORANGE, height=0.6, label="low end" if not row else None
        )
        ax.barh(
            row, (high - base) / 1e3, left=base / 1e3, color=BLUE, height=0.6, label="high end" if not row else None
        )
    ax.axvline(0, color=GREY, linestyle="--", linewidth=1.2)
    ax.set_yticks(range(len(bars)), [names.get(name, name) for name, _, _ in bars])
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.set_xlabel("net present value, thousand EUR (dashed: nothing gained)")
    ax.legend(loc="lower right")
    return fig


def spread(values: np.ndarray, base: float) -> Figure:
    """Net present values of many draws, in thousand EUR."""
    fig, ax = plt.subplots()
    ax.hist(values / 1e3, bins=40, color=BLUE)
    ax.axvline(0, color=GREY, linestyle="--", linewidth=1.4)
    ax.axvline(base / 1e3, color=ORANGE, linewidth=1.6)
    top = ax.get_ylim()[1]
    ax.annotate("as planned", (base / 1e3, top), (4, -10), textcoords="offset points", fontsize=10)
    ax.set(xlabel="net present value, thousand EUR", ylabel="draws")
    return fig


def bill(amounts: Mapping[str, Mapping[str, float]]) -> Figure:
    """Provider -> what -> EUR a month, stacked; hatched as well as coloured, so that colour is not needed."""
    fig, ax = plt.subplots(figsize=(6.2, 0.55 * len(amounts) + 1.9))
    kinds = list(dict.fromkeys(what for lines in amounts.values() for what in lines))
    left = dict.fromkeys(amounts, 0.0)
    hatches = ["", "//", "\\\\", "xx", "..", "--", "++"]
    colours = plt.rcParams["axes.prop_cycle"].by_key()["color"]
    for i, what in enumerate(kinds):
        values = [lines.get(what, 0.0) for lines in amounts.values()]
        ax.barh(list(amounts), values, left=list(left.values()), height=0.6, label=what, alpha=0.9,
                color=colours[i % len(colours)], hatch=hatches[i % len(hatches)])  # fmt: skip
        left = {name: left[name] + value for name, value in zip(left, values, strict=True)}
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.set_xlabel("EUR a month")
    ax.legend(loc="upper left", bbox_to_anchor=(0, -0.25), ncols=3)
    return fig
