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

from cvprod.display import plots

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
    lines = _arrows(boxes, arrows, groups)
    # A label beside an arrow may reach past the boxes: make room on that side.
    left = min(0.0, *(line.left for line in lines)) if lines else 0.0
    width = max([width, *(line.right for line in lines)]) - left
    uid = "d" + hashlib.sha256(f"{title}{next(_shown)}".encode()).hexdigest()[:8]
    body = [
        f'<title id="{uid}-t">{html.escape(title)}</title>',
        f'<desc id="{uid}-d">{html.escape(desc or _describe(boxes, arrows, groups))}</desc>',
        f'<defs><marker id="{uid}-a" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="8" markerHeight="8" '
        'orient="auto-start-reverse"><path d="M0 0L8 4L0 8z" fill="currentColor"/></marker></defs>',
        *(_frame(name, inside, boxes) for name, inside in groups.items()),
        *(line.svg(uid) for line in lines),
        *(_draw(box, name in accent.split()) for name, box in boxes.items()),
    ]
    naming = f'aria-labelledby="{uid}-t" aria-describedby="{uid}-d"'
    inner = f'<g transform="translate({-left:.1f} 0)">{"".join(body[3:])}</g>'
    return plots.framed_svg("".join(body[:3]) + inner, width, height, naming, scale=1.0)


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

    def gap(a: str, b: str) -> float:
        border = len({a, b} & framed) == 1 or ({a, b} <= framed and _group(a) != _group(b))
        return max(_GAP_X, between.get(frozenset((a, b)), 0), 2 * _FRAME + 14 if border else 0)

    def _group(name: str) -> set[str]:
        return {title for title, inside in groups.items() if name in inside}

    # Rows with equally many places form columns of one width, so that what belongs together lines up.
    widths: dict[int, list[float]] = {}
    gaps: dict[int, list[float]] = {}
    for count in {len(row) for row in grid}:
        alike = [row for row in grid if len(row) == count]
        columns = [[boxes[name] for name in column if name != "."] for column in zip(*alike, strict=True)]
        widths[count] = [max((box.w for box in column), default=_GAP_X) for column in columns]
        gaps[count] = [max(gap(row[i], row[i + 1]) for row in alike) for i in range(count - 1)] + [0]
        for column, wide in zip(columns, widths[count], strict=True):
            for box in column:
                box.w = wide
    extents = [sum(widths[len(row)]) + sum(gaps[len(row)]) for row in grid]
    total = max(extents) + 2 * side + 4
    y = 2.0 + (_FRAME + _LINE if any(boxes[n].row == 0 for n in framed) else 0)
    for r, row in enumerate(grid):
        tall = max((boxes[name].h for name in row if name != "."), default=_LINE)
        x = (total - extents[r]) / 2
        for name, wide, space in zip(row, widths[len(row)], gaps[len(row)], strict=True):
            if name != ".":
                boxes[name].x, boxes[name].y = x + wide / 2, y + tall / 2
            x += wide + space
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


def _frame(name: str, members: list[str], boxes: dict[str, _Box]) -> str:
    inside = [boxes[member] for member in members]
    left = min(b.x - b.w / 2 for b in inside) - _FRAME
    top = min(b.y - b.h / 2 for b in inside) - _FRAME - _LINE + 4
    right, bottom = max(b.x + b.w / 2 for b in inside) + _FRAME, max(b.y + b.h / 2 for b in inside) + _FRAME
    for other, box in boxes.items():
        beside = box.x + box.w / 2 <= left or box.x - box.w / 2 >= right
        if other not in members and not beside and box.y + box.h / 2 > top and box.y - box.h / 2 < bottom:
            raise DiagramError(f"the frame {name!r} would cut {other!r}: move it with '.', or put it inside")
    return (
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" height="{bottom - top:.1f}" rx="9" fill="none" '
        f'stroke="currentColor" stroke-opacity=".55" stroke-dasharray="5 4"/>'
        f'<text x="{left + 10:.1f}" y="{top + 18:.1f}" font-size="12.5" fill="currentColor">{html.escape(name)}</text>'
    )


@dataclass
class _Line:
    """One arrow: its path and its label, at (x, y) with an SVG text anchor."""

    path: str
    x: float
    y: float
    anchor: str
    dashed: bool
    label: str

    @property
    def left(self) -> float:
        return self.x - {"start": 0, "middle": 0.5, "end": 1}[self.anchor] * len(self.label) * _CHAR

    @property
    def right(self) -> float:
        return self.left + len(self.label) * _CHAR + 4

    def svg(self, uid: str) -> str:
        dash = ' stroke-dasharray="5 4"' if self.dashed else ""
        text = (
            f'<text x="{self.x:.1f}" y="{self.y:.1f}" text-anchor="{self.anchor}" font-size="12.5" '
            f'fill="currentColor">{html.escape(self.label)}</text>'
        )
        line = f'stroke="currentColor" stroke-width="1.3"{dash} marker-end="url(#{uid}-a)"'
        return f'<path d="{self.path}" fill="none" {line}/>{text if self.label else ""}'


def _arrows(boxes: dict[str, _Box], arrows: list, groups: dict[str, list[str]]) -> list[_Line]:
    """Route every arrow; those on one side of a box leave and arrive side by side, in the order of their ends."""
    sides: dict[tuple[str, bool], list[str]] = {}
    for a, b, _, _ in arrows:
        if boxes[a].row != boxes[b].row:
            for name, other in ((a, b), (b, a)):
                sides.setdefault((name, boxes[other].row > boxes[name].row), []).append(other)

    def port(name: str, other: str) -> tuple[float, int, int]:
        """Return where on the box the arrow goes, its place there and how many share the side."""
        box = boxes[name]
        others = sorted(sides[name, boxes[other].row > box.row], key=lambda n: boxes[n].x)
        place, count = others.index(other), len(others)
        return box.x - box.w / 2 + box.w * (place + 1) / (count + 1), place, count

    routed = []
    for start, end, dashed, label in arrows:
        a, b = boxes[start], boxes[end]
        if a.row == b.row:
            sign = 1 if b.x > a.x else -1
            x0, x1 = a.x + sign * a.w / 2, b.x - sign * b.w / 2
            path = f"M{x0:.1f} {a.y:.1f}H{x1 - sign:.1f}"
            routed.append(_Line(path, (x0 + x1) / 2, a.y - 7, "middle", dashed, label))
            continue
        (xa, place, count), (xb, _, others) = port(start, end), port(end, start)
        if others == 1 and abs(xa - b.x) <= b.w / 2 - 10:
            xb = xa
        elif count == 1 and abs(xb - a.x) <= a.w / 2 - 10:
            xa = xb
        sign = 1 if b.y > a.y else -1
        y0, y1 = a.y + sign * a.h / 2, b.y - sign * b.h / 2
        leaves = any(start in inside and end not in inside for inside in groups.values())
        turn = y0 + sign * min(24 + _FRAME * leaves, abs(y1 - y0) / 2 + 8)
        if xa == xb:
            outer = place == 0 and count > 1  # the leftmost of several: its label stands on the free side
            where = (xa - 8, "end") if outer else (xa + 8, "start")
            path = f"M{xa:.1f} {y0:.1f}V{y1 - sign:.1f}"
            routed.append(_Line(path, where[0], turn + 4, where[1], dashed, label))
        else:
            path = f"M{xa:.1f} {y0:.1f}V{turn:.1f}H{xb:.1f}V{y1 - sign:.1f}"
            routed.append(_Line(path, (xa + xb) / 2, turn - 6, "middle", dashed, label))
    return routed


def _describe(boxes: dict[str, _Box], arrows: list, groups: dict[str, list[str]]) -> str:
    """Put the drawing into sentences: every box, every frame, every arrow in order."""

    def called(name: str) -> str:
        return boxes[name].lines[0]

    parts = ["Boxes: " + "; ".join(", ".join(box.lines) for box in boxes.values()) + "."]
    parts += [f"{group} holds {', '.join(map(called, inside))}." for group, inside in groups.items()]
    parts += [f"{called(a)} to {called(b)}{': ' + label if label else ''}." for a, b, _, label in arrows]
    return " ".join(parts)
