"""The panels of a dashboard, drawn from its own JSON with what a Prometheus answers. It is no Grafana.

Each query of each panel is run as it stands, so a panel without data is seen here, and not first at night. Layout,
colours and interaction are Grafana's business; title, unit, legend and limit are the dashboard's.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from cvprod.display.plots import GREY, PALETTE
from cvprod.repo import deploy_file

UNITS = {
    "s": ("ms", 1e3), "percentunit": ("%", 100.0), "reqps": ("a second", 1.0), "decbytes": ("MB", 1e-6),
    "currencyEUR": ("EUR", 1.0), "none": ("", 1.0),
}  # fmt: skip


def read(name: str) -> list[dict]:
    """Panels of deploy/monitoring/grafana/dashboards/NAME.json, without the rows between them."""
    board = json.loads(deploy_file(f"monitoring/grafana/dashboards/{name}.json").read_text(encoding="utf-8"))
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def fill(expression: str, values: Mapping[str, str]) -> str:
    """A query with its variables filled in, longest name first. Raises ValueError for one that is not given."""
    for name in sorted(values, key=len, reverse=True):
        expression = expression.replace(f"${name}", values[name])
    if left := re.findall(r"\$\w+", expression):
        raise ValueError(f"{', '.join(left)} has no value in {expression}")
    return expression


def answers(prometheus, panel: Mapping, start: float, end: float, step: float, values: Mapping[str, str]):
    """Legend -> float64 (points, 2) of every series of a panel; points that are no numbers left out."""
    found = {}
    for target in panel["targets"]:
        for labels, points in prometheus.range(fill(target["expr"], values), start, end, step).items():
            legend = target.get("legendFormat", "")
            for name, value in labels:
                legend = legend.replace("{{" + name + "}}", value)
            points = points[np.isfinite(points[:, 1])]
            if len(points):
                found[re.sub(r"\{\{\w+\}\}", "", legend)] = points
    return found


def draw(
    prometheus, name: str, start: float, end: float, *, step: float = 1.0, titles: Sequence[str] | None = None,
    columns: int = 3, values: Mapping[str, str] | None = None,
) -> tuple[Figure, list[str]]:  # fmt: skip
    """The panels of a dashboard between two moments.

    Args:
        prometheus: a cvprod.stack.prometheus.Prometheus that is running.
        name: of the dashboard's file.
        start, end: seconds since 1970. step: seconds.
        titles: of the panels to draw; all by default.
        columns: of the gallery.
        values: of the dashboard's variables, beside the rate's interval (6 steps) and all instances.

    Returns:
        The figure, and the titles of panels without data.

    Raises:
        ValueError: a title that no panel has, a variable without value, or wrong PromQL.
    """
    panels = read(name)
    if titles is not None:
        known = {panel["title"]: panel for panel in panels}
        if unknown := set(titles) - set(known):
            raise ValueError(f"{name} has no panel {', '.join(sorted(unknown))}; it has {', '.join(known)}")
        panels = [known[title] for title in titles]
    values = {"__rate_interval": f"{max(2, round(6 * step))}s", "instance": ".*"} | dict(values or {})
    rows = -(-len(panels) // columns)
    fig, axes = plt.subplots(rows, columns, figsize=(2.75 * columns, 2.1 * rows), squeeze=False)
    empty = []
    for ax, panel in zip(axes.flat, panels, strict=False):
        found = answers(prometheus, panel, start, end, step, values)
        if not found:
            empty.append(panel["title"])
        _panel(ax, panel, found, start)
    for ax in axes.flat[len(panels) :]:
        ax.axis("off")
    plt.close(fig)  # or the notebook shows it a second time, by itself
    return fig, empty


def _panel(ax, panel: Mapping, found: Mapping[str, np.ndarray], start: float) -> None:
    unit, scale = UNITS.get(panel["fieldConfig"]["defaults"].get("unit", "none"), ("", 1.0))
    title = "\n".join(textwrap.wrap(panel["title"], 26))
    ax.set_title(f"{title}{f', {unit}' if unit else ''}", fontsize=9)
    ax.tick_params(labelsize=8)
    if not found:
        ax.text(0.5, 0.5, "no data", ha="center", va="center", transform=ax.transAxes, fontsize=9)
        ax.set(xticks=[], yticks=[])
        return
    if panel["type"] == "stat":
        last = next(iter(found.values()))[-1, 1] * scale
        ax.text(0.5, 0.5, f"{last:.3g}", ha="center", va="center", transform=ax.transAxes, fontsize=22)
        ax.set(xticks=[], yticks=[])
        return
    for k, (legend, points) in enumerate(found.items()):
        ax.plot(points[:, 0] - start, points[:, 1] * scale, color=PALETTE[k % len(PALETTE)], lw=1.4, label=legend,
                ls=("-", "--", ":")[k // len(PALETTE) % 3])  # fmt: skip
    steps = panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])
    limits = [one["value"] for one in steps if one.get("value") is not None]
    top = max(points[:, 1].max() for points in found.values()) * scale
    if limits and limits[-1] * scale < 4 * top + 1e-9:  # else the curve would lie on the floor
        ax.axhline(limits[-1] * scale, color=GREY, ls="--", lw=1.2)
    low = min(points[:, 1].min() for points in found.values()) * scale
    ax.set_ylim(low - 0.4 * (top - low) if low > 0.6 * top > 0 and len(found) > 1 else 0, None)
    if len(found) > 1:
        ax.legend(fontsize=6.5, ncols=2 if len(found) > 3 else 1, frameon=False, handlelength=1.2, borderpad=0.1)
