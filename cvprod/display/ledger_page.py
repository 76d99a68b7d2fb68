"""The book's last page: what the ledger holds, as sentences, a table and plots. An empty ledger is no error."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure

from cvprod.contract import Contract
from cvprod.display.charts import MARKERS, plain_log
from cvprod.display.plots import GREY, PALETTE, figure_html, table_html
from cvprod.repo import root

ENOUGH = 700  # tiles, a hundred of each class: with fewer, an accuracy says more of its tiles than of its network

# Columns of the table: ledger's name -> (heading, divisor, format)
_COLUMNS = {
    "chapter": ("chapter", 1, "{:.0f}"),
    "kind": ("kind", 1, None),
    "p50_ms": ("median, ms", 1, None),
    "p99_ms": ("99th percentile, ms", 1, None),
    "tiles_per_s": ("tiles a second", 1, "{:,.0f}"),
    "size_bytes": ("file or message, MB", 1e6, None),
    "memory_bytes": ("memory, MB", 1e6, "{:,.0f}"),
    "accuracy": ("accuracy", 1, "{:.2%}"),
    "n_tiles": ("judged on tiles", 1, "{:,.0f}"),
    "defect_recall": ("defects seen", 1, "{:.2%}"),
    "false_reject_rate": ("clean tiles refused", 1, "{:.2%}"),
    "cost_per_million_eur": ("EUR a million tiles", 1, None),
    "note": ("in words", 1, None),
}
#: Chapter 2 calls its rows as its code does; here they have words.
_PLAIN = {
    "baseline": "ResNet-18, PyTorch",
    "fp16": "ResNet-18, 16-bit floats",
    "bf16": "ResNet-18, bfloat16",
    "torch_compile": "ResNet-18, torch.compile",
    "ort_fp32": "ResNet-18, ONNX Runtime",
    "ort_int8": "ResNet-18, ONNX Runtime, INT8",
    "openvino_fp32": "ResNet-18, OpenVINO",
    "openvino_int8": "ResNet-18, OpenVINO, INT8",
    "unstructured": "ResNet-18, half its weights zero",
    "mobilenet_fp32": "MobileNetV3, ONNX Runtime",
    "mobilenet_int8": "MobileNetV3, ONNX Runtime, INT8",
    "nas": "student found by search",
    "distilled": "student, distilled",
    "structured": "student, distilled and pruned",
    "pipeline": "student, distilled, pruned, INT8: what ships",
}


def plain_names(rows: pd.DataFrame) -> pd.Series:
    """The rows' names in words."""
    here = rows["chapter"] == 2
    return rows["name"].where(~here, rows["name"].map(_PLAIN).fillna(rows["name"]))


def chapters() -> dict[int, str]:
    """Chapter number -> notebook name, of the chapters in this checkout."""
    found = sorted((root() / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    return {int(path.stem[:2]): path.stem for path in found}


def summary(rows: pd.DataFrame) -> str:
    """A few Markdown sentences: how many rows, what is missing, and how far the book has come from its baseline."""
    missing = [f"`{name}`" for number, name in chapters().items() if number not in set(rows["chapter"])]
    if rows.empty:
        todo = f"Run {', '.join(missing)}" if missing else "Run a chapter"
        return f"**The ledger is still empty.** {todo}, or `make book` for the whole book; then run this page again."
    count = rows["chapter"].nunique()
    lines = [f"{len(rows)} rows from {count} chapter{'' if count == 1 else 's'}."]
    if missing:
        lines.append(f"Not yet run: {', '.join(missing)}.")
    for chapter, best in gains(rows).iterrows():
        first, last = (_PLAIN.get(name, name) if chapter == 2 else name for name in (best["from"], best["to"]))
        if best["to"] == best["from"]:
            lines.append(f"\n\nChapter {chapter}: no row is quicker than {first} and sees as well.")
            continue
        lines.append(
            f"\n\nChapter {chapter}: from {first} ({best['p50_from']:.3g} ms, {best['mb_from']:.3g} MB) "
            f"to **{last}** ({best['p50_to']:.3g} ms, {best['mb_to']:.3g} MB): "
            f"{best['faster']:.0f} times as fast and {best['smaller']:.0f} times smaller, "
            f"accuracy {best['points']:+.2f} points."
        )
    return " ".join(lines)


def gains(rows: pd.DataFrame, *, tolerance: float = 0.01) -> pd.DataFrame:
    """For each chapter with a baseline: its quickest row that loses at most `tolerance` of accuracy.

    Only rows of one chapter are compared: they were measured in one run, on one machine. And only rows that were judged
    on as many tiles as the baseline: of fewer, some may have been easy ones. A row that does not say on how many is
    left out, and so is the chapter of a baseline that does not.
    """
    found = {}
    for chapter, group in rows.dropna(subset=["p50_ms", "size_bytes", "accuracy", "n_tiles"]).groupby("chapter"):
        baselines = group[group["kind"] == "baseline"]
        if baselines.empty:
            continue
        base = baselines.iloc[0]
        fair = group[(group["n_tiles"] == base["n_tiles"]) & (group["accuracy"] >= base["accuracy"] - tolerance)]
        best = fair.loc[fair["p50_ms"].idxmin()]
        found[chapter] = {
            "from": base["name"],
            "p50_from": base["p50_ms"],
            "mb_from": base["size_bytes"] / 1e6,
            "to": best["name"],
            "p50_to": best["p50_ms"],
            "mb_to": best["size_bytes"] / 1e6,
            "faster": base["p50_ms"] / best["p50_ms"],
            "smaller": base["size_bytes"] / best["size_bytes"],
            "points": (best["accuracy"] - base["accuracy"]) * 100,
        }
    return pd.DataFrame.from_dict(found, orient="index")


def table(rows: pd.DataFrame) -> HTML:
    """Every row, baselines in bold; columns that nobody filled are left out. The head stays in sight on a page."""
    if rows.empty:
        return _nothing("no rows yet")
    shown, formats = pd.DataFrame(index=rows.index), {}
    numbers = rows[[name for name in _COLUMNS if name not in ("chapter", "kind", "n_tiles", "note")]]
    rows = rows.assign(note=rows["note"].where(numbers.isna().all(axis=1), ""))  # with a number, the note is a detail
    for name, (heading, divisor, pattern) in _COLUMNS.items():
        if rows[name].notna().any() and (rows[name] != "").any():
            shown[heading] = rows[name] / divisor if divisor != 1 else rows[name]
            if pattern:
                formats[heading] = pattern
    names = [_Name(name) for name in plain_names(rows)]
    shown.index = pd.Index(names, name="what was measured", dtype=object)
    bold = shown.index[rows["kind"] == "baseline"]
    made = table_html(shown, "Every measured row; baselines in bold", formats=formats, emphasise=bold)
    return HTML(made.replace('class="cv-table"', 'class="cv-table cv-ledger"', 1))


class _Name:
    """A row's name as an entry of an index: two chapters may use the same one, and only one of them may be bold."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


def story(rows: pd.DataFrame, contract: Contract) -> HTML:
    """File size over median latency of the network alone, both logarithmic, with the contract's limits.

    The limit of latency is one for the p99 of the whole way: a median beyond it is out, one within proves nothing yet.
    A row of the kind "server" is no network: its bytes are those of a request.
    """
    points = rows[rows["kind"] != "server"].dropna(subset=["p50_ms", "size_bytes"])
    if points.empty:
        return _nothing("no rows with latency and size yet")
    fig, ax = _scatter(points.assign(y=points["size_bytes"] / 1e6))
    ax.set_yscale("log")
    plain_log(ax.yaxis)
    ax.set_ylabel("file size in MB")
    size = contract.model_size_mb.limit
    ax.axhline(size, color=GREY, linestyle="--", linewidth=1.4)
    ax.annotate(f"contract: {size:g} MB", (1, size), (-3, 3), xycoords=("axes fraction", "data"),
                textcoords="offset points", ha="right", fontsize=10)  # fmt: skip
    _latency_limit(ax, contract)
    quickest = points.loc[points["p50_ms"].idxmin()]
    alt = (
        f"{len(points)} measured rows: file size over median latency, both on logarithmic scales, with the contract's "
        f"limits for size and for the p99 of the whole way as lines. The quickest is {quickest['name']} with "
        f"{quickest['p50_ms']:.3g} ms and {quickest['size_bytes'] / 1e6:.3g} MB."
    )
    return _figure(fig, alt)


def accuracy(rows: pd.DataFrame, contract: Contract) -> HTML:
    """Accuracy over median latency, with the contract's latency, of the rows judged on `ENOUGH` tiles or more."""
    judged = rows.dropna(subset=["p50_ms", "accuracy"])
    points = judged[judged["n_tiles"] >= ENOUGH]
    if points.empty:
        return _nothing(f"no rows with latency, and with accuracy on {ENOUGH} tiles, yet")
    fig, ax = _scatter(points.assign(y=points["accuracy"] * 100))
    ax.set_ylabel(f"accuracy on {ENOUGH} tiles or more, %")
    _latency_limit(ax, contract)
    best = points.loc[points["accuracy"].idxmax()]
    alt = (
        f"{len(points)} measured rows: accuracy over median latency on a logarithmic scale. The most accurate is "
        f"{best['name']} with {best['accuracy']:.1%} at {best['p50_ms']:.3g} ms. Rows judged on fewer than {ENOUGH} "
        f"tiles are left out: {len(judged) - len(points)} of them."
    )
    return _figure(fig, alt)


def origins(rows: pd.DataFrame) -> HTML:
    """Which machine, which date and which versions each chapter's rows came from."""
    if rows.empty:
        return _nothing("no rows yet")
    first = rows.groupby("chapter").first()
    shown = pd.DataFrame({
        "rows": rows.groupby("chapter").size(),
        "measured (UTC)": first["date"].dt.strftime("%Y-%m-%d %H:%M"),
        "machine": first["cpu"] + ", " + first["cores"].astype(str) + " cores",
        "INT8 instructions": [bool(m.get("isa", {}).get("vnni")) for m in first["machine"]],
        "PyTorch": [v.get("torch", "") for v in first["versions"]],
    })  # fmt: skip
    shown.index = pd.Index(shown.index, name="chapter")
    return HTML(table_html(shown, "One line a chapter: where its rows were measured"))


def _scatter(points: pd.DataFrame) -> tuple[Figure, plt.Axes]:
    fig, ax = plt.subplots(figsize=(6.2, 4.2))
    for number, (chapter, group) in enumerate(points.groupby("chapter")):
        colour, marker = PALETTE[number % len(PALETTE)], MARKERS[number % len(MARKERS)]
        base = group["kind"] == "baseline"
        style = {"linestyle": "", "marker": marker, "color": colour}
        hollow = {"markersize": 11, "markerfacecolor": "none", "markeredgewidth": 2}
        ax.plot(group["p50_ms"][~base], group["y"][~base], label=f"chapter {chapter}", **style)
        ax.plot(group["p50_ms"][base], group["y"][base], label=f"chapter {chapter}, baseline", **style | hollow)
    ax.set_xscale("log")
    plain_log(ax.xaxis)
    ax.set_xlabel("latency p50 in ms")
    ax.legend(loc="upper left", bbox_to_anchor=(0, -0.17), ncols=2)
    return fig, ax


def _latency_limit(ax: plt.Axes, contract: Contract) -> None:
    limit = contract.p99_latency_ms.limit
    ax.axvline(limit, color=GREY, linestyle="--", linewidth=1.4)
    ax.annotate(f"contract: p99 of the whole way {limit:g} ms", (limit, 1), (0, 3), xycoords=("data", "axes fraction"),
                textcoords="offset points", ha="center", fontsize=10)  # fmt: skip


def _figure(fig: Figure, alt: str) -> HTML:
    html = figure_html(fig, alt)
    plt.close(fig)
    return HTML(html)


def _nothing(what: str) -> HTML:
    return HTML(f"<p><em>Nothing to show: {what}.</em></p>")
