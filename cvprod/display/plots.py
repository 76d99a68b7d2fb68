"""Plots and tables that read well on white and on dark, on a desk and on a phone, by eye and by screen reader.

A figure is shown as inline SVG whose ink is the page's own text colour, so that it follows the theme. Alt text is not
optional: `show` refuses a figure that nobody has described.
"""

import hashlib
import html
import io
import itertools
import math
import numbers
import re
from collections.abc import Iterable, Mapping, Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from cycler import cycler
from IPython.display import HTML, display
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

# Every colour keeps 3:1 against white and against the dark ground (#14181e), and the first five stay apart under the
# three common colour-vision deficiencies; line styles differ too, so colour never carries a meaning alone.
BLUE, ORANGE, GREEN, VIOLET, ROSE, OLIVE = "#1d78c8", "#dd6110", "#0f8f5f", "#9a3ff0", "#a8497d", "#91915e"
PALETTE = (BLUE, ORANGE, GREEN, VIOLET, ROSE, OLIVE)
GREY = "#7d858e"  # reference lines, limits, what is not the point

# Stands for "the page's text colour" while matplotlib draws; `show` turns it into currentColor.
INK = "#1f2329"

_SENTENCE = 36  # characters of a table's cell from which it is broken into lines
_PX_PER_PT = 96 / 72
_FIT_PX = 620  # a figure up to this width shrinks to a phone and stays legible; a wider one scrolls there
_PHONE_PX = 328  # of a phone's column
_LEAST_TEXT_PX = 6.4  # a figure whose smallest text would be smaller there scrolls, too
_TEXT_SIZE = re.compile(r"font(?:-size)?: (?:[a-z]+ )*([\d.]+)px")
_MARKERS = 400  # of one artist, from which they are drawn as a picture
_RASTER_DPI = 180
_shown: itertools.count = itertools.count()


class AltTextError(ValueError):
    """The alt text of a figure is missing or says too little to stand in for the figure."""


def use_style() -> None:
    """Set matplotlib's defaults for the book: sizes in inches, transparent ground, one palette, no chart junk."""
    styles = cycler(color=PALETTE) + cycler(linestyle=["-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2))])
    mpl.rcParams.update(
        {
            "figure.figsize": (6.2, 3.6),
            "figure.facecolor": "none",
            "figure.constrained_layout.use": True,
            "axes.facecolor": "none",
            "axes.edgecolor": INK,
            "axes.labelcolor": INK,
            "axes.titlelocation": "left",
            "axes.titlesize": 12,
            "axes.titleweight": "normal",
            "axes.labelsize": 11,
            "axes.linewidth": 0.8,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "axes.prop_cycle": styles,
            "grid.color": INK,
            "grid.alpha": 0.18,
            "grid.linewidth": 0.6,
            "text.color": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "xtick.labelsize": 10.5,
            "ytick.labelsize": 10.5,
            "font.size": 11,
            "font.family": "sans-serif",
            "legend.frameon": False,
            "legend.fontsize": 10.5,
            "lines.linewidth": 1.8,
            "lines.markersize": 6,
            "hatch.color": INK,
            "image.cmap": "gray",
            "savefig.facecolor": "none",
            "savefig.transparent": True,
            "svg.fonttype": "none",
            "svg.hashsalt": "cvprod",
        }
    )


def show(fig: Figure, alt: str) -> None:
    """Display `fig` as inline SVG with the text alternative `alt`, and close it.

    Args:
        fig: any matplotlib figure; images inside it are embedded as PNG.
        alt: a sentence that says what the figure shows, for readers who cannot see it.

    Raises:
        AltTextError: `alt` is not a sentence (at least five words and a full stop).
    """
    check_alt(alt)
    display(HTML(figure_html(fig, alt)))
    plt.close(fig)


def figure_html(fig: Figure, alt: str) -> str:
    """Return the HTML that `show` displays: one inline SVG, ids unique on the page, ink in currentColor."""
    check_alt(alt)
    buffer = io.StringIO()
    clouds = _rasterise(fig)
    with mpl.rc_context({"svg.fonttype": "none", "svg.image_inline": True}):
        fig.savefig(
            buffer,
            dpi=_RASTER_DPI if clouds else "figure",  # photographs of steel would only get heavier
            format="svg",
            bbox_inches="tight",
            pad_inches=0.04,
            transparent=True,
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    body, width, height = _clean_svg(buffer.getvalue())
    body = _unique_ids(body, f"{alt}{next(_shown)}")
    return framed_svg(body, width, height, f'aria-label="{html.escape(alt)}"')


def _rasterise(fig: Figure) -> bool:
    """Let clouds of markers become pictures: thousands of nodes make a page slow, and nobody reads a single one.

    Returns whether there are any.
    """
    found = False
    for axis in fig.axes:
        for cloud in (*axis.collections, *axis.lines):
            if isinstance(cloud, Line2D):
                dense = cloud.get_marker() not in (None, "None", "", " ") and len(cloud.get_xdata()) > _MARKERS
            else:
                dense = isinstance(cloud, PathCollection) and len(cloud.get_offsets()) > _MARKERS
            if dense:
                cloud.set_rasterized(True)
                found = True
    return found


def framed_svg(body: str, width: float, height: float, naming: str, *, scale: float = _PX_PER_PT) -> str:
    """Wrap SVG markup in a frame that shrinks with the page and, where it would get too small to read, scrolls.

    Args:
        body: what goes between <svg> and </svg>.
        width, height: of the view box, in its own units; `scale` is CSS pixels per unit.
        naming: the attribute that gives the image its accessible name.
    """
    natural = round(width * scale)
    least = round(natural * 0.6) if natural > _FIT_PX else 0
    sizes = {float(size) for size in _TEXT_SIZE.findall(body)}
    sizes -= {small for small in sizes if any(abs(small - 0.7 * size) < 0.01 for size in sizes)}  # exponents
    if sizes and (needed := math.ceil(_LEAST_TEXT_PX * width / min(sizes))) > _PHONE_PX:
        least = min(max(least, needed), natural)
    # Only a frame that may scroll takes keyboard focus: a stop that does nothing is a nuisance.
    frame = 'tabindex="0" role="group" aria-label="Wide figure, scrolls sideways"' if least else ""
    return (
        f'<div class="cv-figure" {frame} style="max-width:100%;overflow-x:auto;overflow-y:hidden">'
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" role="img" {naming} '
        f'viewBox="0 0 {width:g} {height:g}" width="{natural}" '
        f'style="display:block;stroke-linejoin:round;stroke-linecap:butt;width:{natural}px;max-width:100%;min-width:{least}px;height:auto;'
        f"font-family:system-ui,'DejaVu Sans',sans-serif\">{body}</svg></div>"
    )


def mosaic(
    images: Sequence[np.ndarray], labels: Iterable[str] | None = None, *, columns: int = 4, tile_inches: float = 1.5
) -> Figure:
    """Return a figure with `images` in a grid, each under its label.

    Args:
        images: arrays (H, W) or (H, W, 3), uint8; grey values are drawn as they are, never stretched.
        labels: one short text per image.
    """
    images = list(images)
    if not images:
        raise ValueError("a mosaic needs at least one image; got none")
    texts = [""] * len(images) if labels is None else [str(text) for text in labels]
    if len(texts) != len(images):
        raise ValueError(f"one label per image, please: {len(images)} images, {len(texts)} labels")
    columns = min(columns, len(images))
    rows = math.ceil(len(images) / columns)
    head = 0.28 if any(texts) else 0.06
    fig, axes = plt.subplots(rows, columns, figsize=(columns * tile_inches, rows * (tile_inches + head)), squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, image, text in zip(axes.flat, images, texts, strict=False):
        axis.imshow(np.squeeze(image), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axis.set_title(text, fontsize=10.5, loc="center")
    return fig


def table(
    frame: pd.DataFrame,
    caption: str,
    *,
    formats: Mapping[str, str] | None = None,
    emphasise: Iterable[object] = (),
) -> None:
    """Display `frame` as an HTML table that scrolls sideways on a phone and follows the page's colours.

    Args:
        frame: the rows; an index that is not just 0, 1, 2... becomes the row headings.
        caption: what the table shows, read out with it.
        formats: per column a format such as "{:.2f}"; other numbers get three significant digits, missing ones a dash.
        emphasise: index values of the rows to print bold.
    """
    display(HTML(table_html(frame, caption, formats=formats, emphasise=emphasise)))


def table_html(
    frame: pd.DataFrame,
    caption: str,
    *,
    formats: Mapping[str, str] | None = None,
    emphasise: Iterable[object] = (),
) -> str:
    """Return the HTML that `table` displays."""
    if not caption or not caption.strip():
        raise ValueError("a table needs a caption that says what it shows; got none")
    formats = dict(formats or {})
    if unknown := sorted(set(formats) - set(map(str, frame.columns))):
        raise ValueError(f"formats names columns that the table lacks: {unknown}; it has {list(frame.columns)}")
    bold = set(emphasise)
    line = "1px solid color-mix(in srgb, currentColor 30%, transparent)"
    cell = f"padding:.3em .7em;border:0;border-bottom:{line};white-space:nowrap;background:none;color:inherit"
    # A heading is longer than what stands below it: it may take several lines before it pushes columns off a phone.
    head = cell.replace("nowrap", "normal") + ";min-width:3.5em;vertical-align:bottom"
    headed = not (isinstance(frame.index, pd.RangeIndex) and frame.index.name is None)
    numeric = {name: pd.api.types.is_numeric_dtype(frame[name]) for name in frame.columns}

    def side(name: object) -> str:
        return "right" if numeric[name] else "left"

    def breaks(values: Iterable[object], width: str) -> str:
        long = any(len(str(value)) > _SENTENCE for value in values)
        return f";white-space:normal;min-width:{width}" if long else ""

    # Sentences are read from line to line, and not by pushing the table about.
    wrap = {name: "" if numeric[name] else breaks(frame[name], "18em") for name in frame.columns}
    wrap_index = breaks(frame.index, "12em")
    heads = [f'<th scope="col" style="{head};text-align:left">{_text(frame.index.name or "")}</th>'] if headed else []
    if headed and not frame.index.name:
        heads = [f'<td style="{cell}"></td>']
    heads += [f'<th scope="col" style="{head};text-align:{side(name)}">{_text(name)}</th>' for name in frame.columns]
    rows = []
    for index, values in zip(frame.index, frame.itertuples(index=False, name=None), strict=True):
        weight = ";font-weight:bold" if index in bold else ""
        first_weight = weight or ";font-weight:normal"  # a browser's own would be bold
        first = f'<th scope="row" style="{cell};text-align:left{wrap_index}{first_weight}">'
        cells = [f"{first}{_text(index)}</th>"] if headed else []
        cells += [
            f'<td style="{cell};text-align:{side(name)}{wrap[name]}{weight};font-variant-numeric:tabular-nums">'
            f"{_text(_number(value, formats.get(str(name))))}</td>"
            for name, value in zip(frame.columns, values, strict=True)
        ]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return (
        f'<div class="cv-table" role="group" aria-label="{html.escape(caption)}" tabindex="0" '
        'style="max-width:100%;overflow-x:auto">'
        '<table style="border-collapse:collapse;color:inherit;background:none;margin:0">'
        # As wide as the screen, and in its place while the table is pushed.
        '<caption style="caption-side:top;text-align:left;padding:.2em 0;color:inherit">'
        f'<span style="display:block;position:sticky;left:0;max-width:min(100%,88vw)">{_text(caption)}</span></caption>'
        f"<thead><tr>{''.join(heads)}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _text(value: object) -> str:
    """A cell's text; what stands between backticks is code, as in the messages that a table may quote."""
    return re.sub(r"`([^`<>]+)`", r"<code>\1</code>", html.escape(str(value)))


def _number(value: object, pattern: str | None) -> str:
    """Write one table value: three significant digits unless told otherwise, a dash for what was not measured."""
    if value is None or value is pd.NA or (isinstance(value, numbers.Real) and math.isnan(value)):
        return "–"
    if pattern:
        return pattern.format(value)
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, numbers.Integral):
        return f"{int(value):,}"
    if isinstance(value, numbers.Real):
        return f"{float(f'{value:.3g}'):,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)


def check_alt(alt: str) -> None:
    """Raise AltTextError unless `alt` is a sentence that can stand in for a figure."""
    if not isinstance(alt, str) or len(alt.split()) < 5 or not alt.rstrip().endswith((".", "!", "?")):
        raise AltTextError(
            f"alt={alt!r} does not describe the figure: write a sentence (five words or more, with its full stop) "
            "that says what is to be seen, such as 'Latency falls with each technique; INT8 is fastest.'"
        )


def _clean_svg(svg: str) -> tuple[str, float, float]:
    """Strip matplotlib's file header and excess digits; return the inner markup and the view box size in points."""
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    body = re.search(r"<svg[^>]*>(.*)</svg>", svg, re.S)
    assert box is not None
    assert body is not None
    inner = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->|<style.*?</style>", "", body.group(1), flags=re.S)
    pieces = re.split(r"(<image\b[^>]*>)", inner)  # base64 stays as it is
    for i in range(0, len(pieces), 2):
        text = pieces[i]
        text = text.replace(INK, "currentColor").replace("stroke: #000000", "stroke: currentColor")
        # The frame sets one font for the whole drawing; matplotlib repeats its list of families on every text.
        text = re.sub(r"; font-family: [^;\"]*", "", text)
        text = re.sub(r" transform=\"rotate\(-0 [^\"]*\"", "", text)
        # Coordinates stand in tags; a label such as 0.075 stands between them and keeps its digits.
        pieces[i] = re.sub(r"<[^>]*>", lambda tag: re.sub(r"(\d+\.\d{2})\d+", r"\1", tag[0]), text)
    return re.sub(r"\n\s*", "\n", "".join(pieces)).strip(), float(box.group(1)), float(box.group(2))


def _unique_ids(body: str, salt: str) -> str:
    """Drop ids that nothing refers to and prefix the others, so that two figures on a page never share one."""
    prefix = "f" + hashlib.sha256((salt + body).encode()).hexdigest()[:8]
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', body))
    body = re.sub(r' id="([^"]+)"', lambda m: f' id="{prefix}-{m[1]}"' if m[1] in used else "", body)
    return re.sub(r'(href="#|url\(#)([^")]+)', rf"\g<1>{prefix}-\g<2>", body)
