"""The ledger's page begins with a story: how far the book has come, and what of the contract is kept today."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML

import cvprod
from cvprod.contract import REQUIREMENTS, Check, Contract
from cvprod.display.charts import plain_log
from cvprod.display.ledger_page import gains
from cvprod.display.plots import BLUE, GREY, figure_html, table_html

CARD = Path(cvprod.__file__).parent / "optimize/weights/pipeline.json"
#: Chapter 2's rows on the way from the baseline to the file that ships, and the words for them.
NETWORK = {
    "baseline": "ResNet-18 in PyTorch",
    "ort_fp32": "the same in ONNX Runtime",
    "distilled": "a student, distilled",
    "structured": "pruned",
    "pipeline": "in INT8: what ships",
}
#: The same way for a whole answer, from chapter 5.
ANSWER = {
    "JPEG to label: ResNet-18, eager": "ResNet-18 in PyTorch",
    "JPEG to label: compiled graph": "as a compiled graph",
    "JPEG to label: distilled, pruned, INT8": "the file that ships",
    "JPEG to label: grey decoder": "with a grey decoder",
}
#: Requirement -> (column of the ledger, factor to the contract's unit).
COLUMN = {
    "p99_latency_ms": ("p99_ms", 1),
    "tiles_per_s": ("tiles_per_s", 1),
    "defect_recall": ("defect_recall", 1),
    "false_reject_rate": ("false_reject_rate", 1),
    "model_size_mb": ("size_bytes", 1e-6),
    "memory_mb": ("memory_bytes", 1e-6),
    "cost_per_million_tiles_eur": ("cost_per_million_eur", 1),
}
#: Requirement -> (chapter, row) that measured today's system.
TODAY = {
    "p99_latency_ms": (11, "the line's plan"),
    "tiles_per_s": (11, "the line's plan"),
    "cost_per_million_tiles_eur": (11, "the line's plan"),
    "model_size_mb": (2, "pipeline"),
    "memory_mb": (2, "pipeline"),
}
#: What every run finds alike, because it was counted when the file was made; its card keeps it.
ON_THE_CARD = ("defect_recall", "false_reject_rate")
_WORDS = {
    "p99_latency_ms": "99 of 100 answers within",
    "tiles_per_s": "tiles a second, at least",
    "defect_recall": "defects seen, at least",
    "false_reject_rate": "clean tiles refused, at most",
    "model_size_mb": "size of the model, at most",
    "memory_mb": "memory, at most",
    "cost_per_million_tiles_eur": "cost of a million tiles, at most",
}


def headline(rows: pd.DataFrame, contract: Contract) -> list[tuple[str, str]]:
    """Up to four figures of this build: (the number, what it is). Empty where no chapter has run."""
    if rows.empty:
        return []
    found = []
    gained = gains(rows)
    if 2 in gained.index:
        best = gained.loc[2]
        found += [
            (f"{best['faster']:.0f} ×", f"as fast: {best['p50_from']:.1f} ms to {best['p50_to']:.2f} ms a tile"),
            (f"{best['smaller']:.0f} ×", f"smaller: {best['mb_from']:.0f} MB to {best['mb_to']:.2f} MB"),
            (
                f"{best['points']:+z.1f}".replace("+0.0", "0.0"),
                "points of accuracy, on the same test tiles",
            ),
        ]
    checks, _ = today(rows, contract)
    if any(check.measured is not None for check in checks):
        met = sum(check.status == "met" for check in checks)
        missing = sum(check.measured is None for check in checks)
        broken = len(checks) - met - missing
        rest = f"; {broken} not" if broken else ""
        rest += f"; {missing} not measured in this run" if missing else ""
        found.append((f"{met} of {len(checks)}", f"lines of the contract kept{rest}"))
    else:
        found.append((f"{len(rows)}", f"measured results of {rows['chapter'].nunique()} chapters in one ledger"))
    return found


def headline_html(rows: pd.DataFrame, contract: Contract) -> HTML:
    """The figures of `headline` as a list; a sentence where there are none."""
    found = headline(rows, contract)
    if not found:
        return HTML("<p><em>Not run here: the figures appear when the chapters have run.</em></p>")
    return HTML(figures_html(found))


def figures_html(found: list[tuple[str, str]]) -> str:
    """The figures of `headline` as the list that the site's style sheet knows."""
    items = "".join(f"<li><strong>{html.escape(n)}</strong> {html.escape(text)}</li>" for n, text in found)
    return f'<ul class="cv-figures">{items}</ul>'


def at_first(rows: pd.DataFrame, contract: Contract) -> tuple[list[Check], dict[str, str]]:
    """The contract held against chapter 1's baseline, and where each number is from."""
    baselines = rows[(rows["chapter"] == 1) & (rows["kind"] == "baseline")]
    if baselines.empty:
        return contract.check({}), {}
    row = baselines.iloc[0]
    measured = {name: row[column] * factor for name, (column, factor) in COLUMN.items()}
    found = {name: value for name, value in measured.items() if not pd.isna(value)}
    return contract.check(found), dict.fromkeys(found, "chapter 1")


def today(rows: pd.DataFrame, contract: Contract) -> tuple[list[Check], dict[str, str]]:
    """The contract held against what ships, as the newest chapters measured it, and where each number is from."""
    measured: dict[str, float] = {}
    sources: dict[str, str] = {}
    for name, (chapter, pattern) in TODAY.items():
        column, factor = COLUMN[name]
        part = rows[(rows["chapter"] == chapter) & rows[column].notna()]
        part = part[[fnmatchcase(row, pattern) for row in part["name"]]]
        if len(part):
            measured[name] = float(part.iloc[0][column]) * factor
            sources[name] = f"chapter {chapter}"
    if len(rows):
        routine = json.loads(CARD.read_text(encoding="utf-8"))["metrics"]["routine"]
        measured |= {name: routine[name] for name in ON_THE_CARD}
        sources |= dict.fromkeys(ON_THE_CARD, f"its card, {routine['n_tiles']:,} tiles")
    return contract.check(measured), sources


def verdicts(rows: pd.DataFrame, contract: Contract) -> HTML:
    """The contract's seven lines: the limit, the baseline's value and verdict, today's, and today's source."""
    (first, _), (now, sources) = at_first(rows, contract), today(rows, contract)
    shown = pd.DataFrame(
        {
            "limit": [_amount(check.name, check.limit) for check in now],
            "today": [_judged(check) for check in now],
            "at first": [_judged(check) for check in first],
            "today's from": [sources.get(check.name, "") for check in now],
        },
        index=pd.Index([_WORDS[check.name] for check in now], name="the plant asks"),
    )
    return HTML(table_html(shown, "The contract, line by line: what ships today, and the ResNet-18 of chapter 1"))


def _amount(name: str, value: float) -> str:
    unit = REQUIREMENTS[name][0]
    if unit == "share":
        return f"{value:.1%}"
    return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"


def _judged(check: Check) -> str:
    if check.measured is None:
        return "no row in the ledger"
    return f"{'✓' if check.status == 'met' else '✗'} {check.status}: {_amount(check.name, check.measured)}"


def journey(rows: pd.DataFrame, contract: Contract) -> HTML:
    """One figure from the baseline to today: the network alone, its file, and a whole answer; bars on a log scale."""
    panels = [
        panel
        for panel in (
            _panel(rows, 2, NETWORK, "p50_ms", 1, "the network alone, ms a tile"),
            _panel(rows, 2, NETWORK, "size_bytes", 1e-6, "its file, MB"),
            _panel(rows, 5, ANSWER, "p50_ms", 1, "from JPEG to label, ms"),
        )
        if panel
    ]
    if not panels:
        return HTML("<p><em>Not run here: the figure needs the rows of chapter 2 or 5.</em></p>")
    heights = [len(values) for _, values in panels]
    fig, axes = plt.subplots(
        len(panels), 1, figsize=(4.4, 0.9 * len(panels) + 0.36 * sum(heights)), height_ratios=heights, squeeze=False
    )
    for axis, (title, values) in zip(axes[:, 0], panels, strict=True):
        numbers = np.array(list(values.values()))
        colours = [GREY] * (len(numbers) - 1) + [BLUE]
        axis.barh(range(len(numbers)), numbers, color=colours)
        axis.set_yticks(range(len(numbers)), list(values))
        axis.invert_yaxis()
        axis.set_xscale("log")
        axis.set_xlim(numbers.min() / 3, numbers.max() * 4)
        plain_log(axis.xaxis, (1.0,))
        axis.set_title(title)
        axis.grid(visible=False, axis="y")
        for place, number in enumerate(numbers):
            axis.annotate(f"{number:.3g}", (number, place), (4, 0), textcoords="offset points", va="center")
        if "MB" in title:
            axis.axvline(contract.model_size_mb.limit, color=GREY, linestyle="--", linewidth=1.4)
    told = "; ".join(f"{title}: from {_ends(values)}" for title, values in panels)
    alt = f"Bars on logarithmic scales, a panel each for {told}. A dashed line marks the contract's limit of size."
    drawn = figure_html(fig, alt)
    plt.close(fig)
    return HTML(drawn)


def _panel(
    rows: pd.DataFrame, chapter: int, steps: Mapping[str, str], column: str, factor: float, title: str
) -> tuple[str, dict[str, float]] | None:
    part = rows[rows["chapter"] == chapter].set_index("name")[column].dropna()
    found = {words: float(part[name]) * factor for name, words in steps.items() if name in part.index}
    return (title, found) if len(found) > 1 else None


def _ends(values: Mapping[str, float]) -> str:
    first, *_, last = values.values()
    return f"{first:.3g} to {last:.3g}"


def baselines(rows: pd.DataFrame) -> HTML:
    """The rows that chapters compare their own rows with, side by side."""
    found = rows[rows["kind"] == "baseline"]
    if found.empty:
        return HTML("<p><em>Not run here: no chapter has recorded a baseline.</em></p>")
    shown = pd.DataFrame(
        {
            "median, ms": found["p50_ms"],
            "file, MB": found["size_bytes"] / 1e6,
            "accuracy": found["accuracy"],
            "on tiles": found["n_tiles"],
            "how": found["note"].str.partition(";")[0].str.removeprefix("p50: "),
        }
    )
    shown.index = pd.Index([f"chapter {number}" for number in found["chapter"]], name="measured in")
    formats = {"accuracy": "{:.2%}", "on tiles": "{:,.0f}"}
    return HTML(table_html(shown, "The same network, measured by two chapters", formats=formats))
