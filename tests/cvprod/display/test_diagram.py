"""Diagrams: what is written is drawn, nothing overlaps, and the text alternative says all of it."""

import itertools
import re
import xml.etree.ElementTree as ElementTree

import pytest

from cvprod.display import diagram
from cvprod.display.plots import AltTextError

TITLE = "A tile's way from the camera to the gate."
SVG = "{http://www.w3.org/2000/svg}"
PLANT = {
    "rows": ["camera .", "decode model", "gate store"],
    "labels": {"camera": "Line camera\n224 x 224", "gate": "Reject gate"},
    "edges": {
        "camera > decode": "JPEG",
        "decode > model": "96 x 96",
        "model > gate": "7 logits",
        "model ~ store": "few",
    },
    "groups": {"Edge box": "decode model"},
    "accent": "model",
}


def _svg(**changes):
    markup = diagram.diagram_html(TITLE, **{**PLANT, **changes})
    return ElementTree.fromstring(re.search(r"<svg.*</svg>", markup, re.S)[0])


def _texts(svg):
    return [text.text for text in svg.iter(f"{SVG}text")]


def _boxes(svg):
    rects = [r for r in svg.iter(f"{SVG}rect") if r.get("rx") == "6"]
    return [tuple(float(r.get(k)) for k in ("x", "y", "width", "height")) for r in rects]


def test_everything_written_is_drawn():
    texts = _texts(_svg())
    for part in ("Line camera", "224 x 224", "decode", "model", "Reject gate", "store", "JPEG", "7 logits", "Edge box"):
        assert part in texts
    assert len(_boxes(_svg())) == 5
    assert len([p for p in _svg().iter(f"{SVG}path") if p.get("marker-end")]) == 4


def test_name_and_description_say_what_is_drawn():
    svg = _svg()
    title, desc = svg.find(f"{SVG}title"), svg.find(f"{SVG}desc")
    assert svg.get("role") == "img" and svg.get("aria-labelledby") == title.get("id")
    assert svg.get("aria-describedby") == desc.get("id")
    assert title.text == TITLE
    for part in ("Line camera to decode: JPEG.", "Edge box holds decode, model.", "model to Reject gate: 7 logits."):
        assert part in desc.text


def test_boxes_do_not_overlap_and_lie_inside():
    svg = _svg()
    _, _, width, height = map(float, svg.get("viewBox").split())
    boxes = _boxes(svg)
    for (x, y, w, h), (x2, y2, w2, h2) in itertools.combinations(boxes, 2):
        assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y
    assert all(y >= 0 and y + h <= height and w <= width for _, y, w, h in boxes)


def test_columns_line_up():
    camera, decode, _, gate, _ = _boxes(_svg())
    assert len({box[0] + box[2] / 2 for box in (camera, decode, gate)}) == 1


def test_dashed_edges_are_dashed_and_others_not():
    arrows = [p for p in _svg().iter(f"{SVG}path") if p.get("marker-end")]
    assert sum(p.get("stroke-dasharray") is not None for p in arrows) == 1


def test_an_edge_list_needs_no_labels():
    assert "JPEG" not in _texts(_svg(edges=["camera > decode", "decode > model"]))


def test_two_diagrams_share_no_id():
    ids = [set(re.findall(r'\bid="([^"]+)"', diagram.diagram_html(TITLE, **PLANT))) for _ in range(2)]
    assert ids[0] and not ids[0] & ids[1]


def test_markup_in_labels_is_text():
    assert "<b>&" in _texts(_svg(labels={"camera": "<b>&"}))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"edges": ["camera > nowhere"]}, "nowhere"),
        ({"edges": ["camera decode"]}, "camera decode"),
        ({"rows": ["camera camera"]}, "twice"),
        ({"rows": []}, "at least one"),
        ({"accent": "ghost"}, "ghost"),
        ({"labels": {"ghost": "x"}}, "ghost"),
        ({"groups": {"Plant": "camera model gate store"}}, "cut"),
    ],
)
def test_a_description_that_does_not_hold_together_is_an_error(changes, words):
    with pytest.raises(diagram.DiagramError, match=words):
        _svg(**changes)


def test_title_must_be_a_sentence():
    with pytest.raises(AltTextError):
        diagram.diagram_html("Overview", ["a b"])


def test_show_displays(monkeypatch):
    shown = []
    monkeypatch.setattr(diagram, "display", shown.append)
    diagram.show(TITLE, **PLANT)
    assert "<svg" in shown[0].data
