"""Architecture diagrams from a few lines: boxes on a grid, arrows, frames, as inline SVG with a text alternative.

    diagram.show(
        "One tile's way from the camera to the reject gate.",
        rows=["camera", "decode model", "gate"],
        labels={"camera": "Line camera\\n224 x 224, 8 bit"},
        edges={"camera > decode": "JPEG", "decode > model": "96 x 96", "model > gate": "7 logits"},
        groups={"Edge box": "decode model"},
        accent="model",
    )

Rows run downwards, so that a diagram stays narrow enough for a phone.
"""

import hashlib
import html
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from IPython.display import HTML, display

from cvprod.lab import plots

_CHAR = 7.3  # width of an average character at 14 px, a little generous
_LINE = 19
_PAD_X, _PAD_Y = 14, 11
_GAP_X, _GAP_Y = 34, 46
_FRAME = 16
_shown: itertools.count = itertools.count()


class DiagramError(ValueError):
    """The description of a diagram does not hold together."""


@dataclass
class _Box:
    lines: list[str]
    row: int
    x: float = 0.0  # centre
    y: float = 0.0
    w: float = 0.0
    h: float = 0.0


def show(
    title: str,
    rows: Sequence[str],
    *,
    edges: Mapping[str, str] | Sequence[str] = (),
    labels: Mapping[str, str] | None = None,
    groups: Mapping[str, str] | None = None,
    accent: str = "",
    desc: str = "",
) -> None:
    """Display an architecture diagram.

    Args:
        title: a sentence that says what the diagram shows; it is the accessible name.
        rows: node names, one string a row, separated by spaces; "." leaves a place free.
        edges: "a > b" to the label on the arrow ("" for none), or just a list; "a ~ b" draws a dashed arrow.
        labels: what stands in a box; lines by "\\n", the first is the heading. Names without one stand for themselves
            (underscores become spaces).
        groups: frame title to the names inside, which must be neighbours on the grid.
        accent: names of the boxes to lift out in colour.
        desc: the long description; made from boxes and arrows when empty.

    Raises:
        DiagramError: a name that no row has, a name placed twice, a malformed edge; AltTextError: title is no sentence.
    """
    display(HTML(diagram_html(title, rows, edges=edges, labels=labels, groups=groups, accent=accent, desc=desc)))


def diagram_html(
    title: str,
    rows: Sequence[str],
    *,
    edges: Mapping[str, str] | Sequence[str] = (),
    labels: Mapping[str, str] | None = None,
    groups: Mapping[str, str] | None = None,
    accent: str = "",
    desc: str = "",
) -> str:
    """Return the HTML that `show` displays."""
    plots.check_alt(title)
    labels, groups = dict(labels or {}), {name: inside.split() for name, inside in (groups or {}).items()}
    boxes, grid = _boxes(rows, labels)
    pairs = edges.items() if isinstance(edges, Mapping) else ((edge, "") for edge in edges)
    arrows = [_edge(text, label) for text, label in pairs]
    ends = [name for arrow in arrows for name in arrow[:2]]
    for name in [*labels, *accent.split(), *itertools.chain(*groups.values()), *ends]:
        if name not in boxes:
            raise DiagramError(f"no row places {name!r}; the rows have {sorted(boxes)}")
    width, height = _place(boxes, grid, arrows, groups)
    uid = "d" + hashlib.sha256(f"{title}{next(_shown)}".encode()).hexdigest()[:8]
    body = [
        f'<title id="{uid}-t">{html.escape(title)}</title>',
        f'<desc id="{uid}-d">{html.escape(desc or _describe(boxes, arrows, groups))}</desc>',
        f'<defs><marker id="{uid}-a" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="8" markerHeight="8" '
        'orient="auto-start-reverse"><path d="M0 0L8 4L0 8z" fill="currentColor"/></marker></defs>',
        *(_frame(name, [boxes[n] for n in inside]) for name, inside in groups.items()),
        *(_arrow(boxes[a], boxes[b], dashed, label, uid) for a, b, dashed, label in arrows),
        *(_draw(box, name in accent.split()) for name, box in boxes.items()),
    ]
    naming = f'aria-labelledby="{uid}-t" aria-describedby="{uid}-d"'
    return plots.framed_svg("".join(body), width, height, naming, scale=1.0)


def _boxes(rows: Sequence[str], labels: Mapping[str, str]) -> tuple[dict[str, _Box], list[list[str]]]:
    grid = [row.split() for row in rows]
    boxes: dict[str, _Box] = {}
    for r, row in enumerate(grid):
        for name in row:
            if name == ".":
                continue
            if name in boxes:
                raise DiagramError(f"{name!r} is placed twice; every box has one place")
            lines = labels.get(name, name.replace("_", " ")).split("\n")
            box = _Box(lines, r)
            box.w = max(len(line) for line in lines) * _CHAR + 2 * _PAD_X
            box.h = len(lines) * _LINE + 2 * _PAD_Y
            boxes[name] = box
    if not boxes:
        raise DiagramError("a diagram needs at least one box; the rows are empty")
    return boxes, grid


def _edge(text: str, label: str) -> tuple[str, str, bool, str]:
    for sign, dashed in ((" > ", False), (" ~ ", True)):
        if text.count(sign) == 1:
            start, end = (name.strip() for name in text.split(sign))
            return start, end, dashed, label
    raise DiagramError(f"edge {text!r} is not of the form 'a > b' or 'a ~ b' (dashed), with spaces round the sign")


def _place(
    boxes: dict[str, _Box], grid: list[list[str]], arrows: list, groups: dict[str, list[str]]
) -> tuple[float, float]:
    """Set every box's centre and return the size of the drawing. Each row is centred; gaps make room for labels."""
    framed = {name for inside in groups.values() for name in inside}
    side = _FRAME if groups else 0
    between = {frozenset(arrow[:2]): len(arrow[3]) * _CHAR * 0.93 + 30 for arrow in arrows}
    empty = max(box.w for box in boxes.values())

    def gap(a: str, b: str) -> float:
        return max(_GAP_X, between.get(frozenset((a, b)), 0), (len({a, b} & framed) == 1) * 2 * _FRAME + 12)

    def width(name: str) -> float:
        return boxes[name].w if name != "." else empty

    # Boxes of one column get one width where rows have equally many places: columns then line up.
    for count in {len(row) for row in grid}:
        for column in zip(*(row for row in grid if len(row) == count), strict=True):
            named = [boxes[name] for name in column if name != "."]
            for box in named:
                box.w = max(b.w for b in named)
    extents = [sum(map(width, row)) + sum(gap(a, b) for a, b in itertools.pairwise(row)) for row in grid]
    # What stands beside a vertical arrow may reach past the boxes.
    spill = max([len(a[3]) * _CHAR * 0.93 + 16 for a in arrows if boxes[a[0]].row != boxes[a[1]].row], default=0)
    total = max([*extents, 2 * spill]) + 2 * side + 4
    y = 2.0 + (_FRAME + _LINE if any(boxes[n].row == 0 for n in framed) else 0)
    for r, row in enumerate(grid):
        tall = max((boxes[name].h for name in row if name != "."), default=_LINE)
        x = (total - extents[r]) / 2
        for i, name in enumerate(row):
            if name != ".":
                boxes[name].x, boxes[name].y = x + width(name) / 2, y + tall / 2
            x += width(name) + (gap(name, row[i + 1]) if i + 1 < len(row) else 0)
        y += tall
        if r + 1 < len(grid):
            here, below = (
                {title for title, inside in groups.items() if set(inside) & set(grid[k])} for k in (r, r + 1)
            )
            y += _GAP_Y + (_FRAME if here - below else 0) + (_FRAME + _LINE if below - here else 0)
    return total, y + 2 + (_FRAME if any(boxes[n].row == len(grid) - 1 for n in framed) else 0)


def _draw(box: _Box, lifted: bool) -> str:
    colour, thick = (plots.BLUE, 2.2) if lifted else ("currentColor", 1.2)
    fill = f'fill="{plots.BLUE}" fill-opacity=".14"' if lifted else 'fill="currentColor" fill-opacity=".04"'
    top = box.y - (len(box.lines) - 1) * _LINE / 2
    texts = "".join(
        f'<text x="{box.x:.1f}" y="{top + i * _LINE + 4.8:.1f}" text-anchor="middle" fill="currentColor" '
        f'font-size="{14 if i == 0 else 12.5}" font-weight="{600 if i == 0 else 400}">{html.escape(line)}</text>'
        for i, line in enumerate(box.lines)
    )
    return (
        f'<rect x="{box.x - box.w / 2:.1f}" y="{box.y - box.h / 2:.1f}" width="{box.w:.1f}" height="{box.h:.1f}" '
        f'rx="6" {fill} stroke="{colour}" stroke-width="{thick}"/>{texts}'
    )


def _frame(name: str, inside: list[_Box]) -> str:
    left = min(b.x - b.w / 2 for b in inside) - _FRAME
    top = min(b.y - b.h / 2 for b in inside) - _FRAME - _LINE + 4
    right, bottom = max(b.x + b.w / 2 for b in inside) + _FRAME, max(b.y + b.h / 2 for b in inside) + _FRAME
    return (
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" height="{bottom - top:.1f}" rx="9" fill="none" '
        f'stroke="currentColor" stroke-opacity=".55" stroke-dasharray="5 4"/>'
        f'<text x="{left + 10:.1f}" y="{top + 18:.1f}" font-size="12.5" fill="currentColor">{html.escape(name)}</text>'
    )


def _arrow(a: _Box, b: _Box, dashed: bool, label: str, uid: str) -> str:
    if a.row == b.row:
        sign = 1 if b.x > a.x else -1
        x0, x1 = a.x + sign * a.w / 2, b.x - sign * b.w / 2
        path, at, anchor = f"M{x0:.1f} {a.y:.1f}H{x1 - sign:.1f}", ((x0 + x1) / 2, a.y - 7), "middle"
    else:
        sign = 1 if b.y > a.y else -1
        y0, y1 = a.y + sign * a.h / 2, b.y - sign * b.h / 2
        # Where the boxes overlap sideways, one straight line; else out, across and in.
        low, high = max(a.x - a.w / 2, b.x - b.w / 2) + 12, min(a.x + a.w / 2, b.x + b.w / 2) - 12
        if low <= high:
            x = min(max(b.x if b.w <= a.w else a.x, low), high)
            path, at, anchor = f"M{x:.1f} {y0:.1f}V{y1 - sign:.1f}", (x + 8, (y0 + y1) / 2 + 4), "start"
        else:
            middle = y1 - sign * 20
            path = f"M{a.x:.1f} {y0:.1f}V{middle:.1f}H{b.x:.1f}V{y1 - sign:.1f}"
            at, anchor = ((a.x + b.x) / 2, middle - 6), "middle"
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    text = (
        f'<text x="{at[0]:.1f}" y="{at[1]:.1f}" text-anchor="{anchor}" font-size="12.5" fill="currentColor">'
        f"{html.escape(label)}</text>"
        if label
        else ""
    )
    line = f'stroke="currentColor" stroke-width="1.3"{dash} marker-end="url(#{uid}-a)"'
    return f'<path d="{path}" fill="none" {line}/>{text}'


def _describe(boxes: dict[str, _Box], arrows: list, groups: dict[str, list[str]]) -> str:
    """Put the drawing into sentences: every box, every frame, every arrow in order."""

    def called(name: str) -> str:
        return boxes[name].lines[0]

    parts = ["Boxes: " + "; ".join(", ".join(box.lines) for box in boxes.values()) + "."]
    parts += [f"{group} holds {', '.join(map(called, inside))}." for group, inside in groups.items()]
    parts += [f"{called(a)} to {called(b)}{': ' + label if label else ''}." for a, b, _, label in arrows]
    return " ".join(parts)
