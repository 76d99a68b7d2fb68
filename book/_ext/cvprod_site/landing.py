"""The first page: what this build measured, a strip of tiles, the whole system and what became of real photographs, in
place of four marks in its text.

The page is written again whenever a chapter is, because its figures come from the chapters' ledger.
"""

import base64
import posixpath
import re
from pathlib import Path

import cv2
import numpy as np

PAGE = "book/intro"
LINK = re.compile(r'\b(href|src|action)="(?![a-z]+:|//|#|/)([^"#?]+)')
STUB = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Refresh" content="0; url=../index.html"><title>Moved</title></head>
<body><p><a href="../index.html">The first page</a></p></body></html>
"""
FIGURES, STRIP, SYSTEM = "<!--cv-figures-->", "<!--cv-strip-->", "<!--cv-system-->"
PHOTOGRAPHS = "<!--cv-photographs-->"


def fill(app, pagename: str, templatename: str, context: dict, doctree: object) -> None:
    """Put figures, strip, diagram and the sentence on photographs where the page's marks are."""
    if pagename != PAGE or FIGURES not in context.get("body", ""):
        return
    body = context["body"]
    for mark, made in (
        (FIGURES, figures()), (STRIP, strip()), (SYSTEM, system()), (PHOTOGRAPHS, photographs())
    ):  # fmt: skip
        body = body.replace(mark, made)
    context["body"] = body


def figures() -> str:
    """Up to four figures of this build, as an HTML list; a sentence where no chapter has run."""
    from cvprod import ledger
    from cvprod.contract import load_contract
    from cvprod.display import ledger_story

    found = ledger_story.headline(ledger.read(), load_contract())
    if not found:
        return '<p class="cv-figures-none">The figures appear here when the chapters have run.</p>'
    return ledger_story.figures_html(found)


def strip() -> str:
    """A generated tile of each class in a row, as one picture with its classes as text below."""
    from cvprod.surface import CLASSES, make_tile
    from cvprod.surface.conditions import NOMINAL

    tiles = [cv2.resize(make_tile(label, 11, conditions=NOMINAL).image, (112, 112), interpolation=cv2.INTER_AREA)
             for label in CLASSES]  # fmt: skip
    data = base64.b64encode(cv2.imencode(".jpg", np.hstack(tiles), [cv2.IMWRITE_JPEG_QUALITY, 82])[1]).decode()
    names = ", ".join(label.replace("_", " ") for label in CLASSES)
    return (
        f'<figure class="cv-strip"><img src="data:image/jpeg;base64,{data}" width="{112 * len(CLASSES)}" height="112" '
        f'alt="Seven generated grey tiles of hot-rolled steel, one for each class: {names}.">'
        f"<figcaption>From left to right: {names}.</figcaption></figure>"
    )


def system() -> str:
    """The whole system as one diagram, each box with the chapters that build it."""
    from cvprod.display.diagram import diagram_html

    return diagram_html(
        "The system that the book builds, and which chapter builds which part.",
        rows=["camera train", "service optimise", "proxy registry", "watch cost"],
        labels={
            "camera": "Line camera\n322 tiles/s, chapter 1",
            "train": "Training\non generated steel",
            "optimise": "Optimise, convert\nchapters 2 and 3",
            "service": "Inspection service\nchapters 5 and 7",
            "proxy": "Proxy, canary\nchapters 6 and 9",
            "registry": "Registry, pipeline\nchapter 10",
            "watch": "Metrics, drift, alerts\nchapter 8",
            "cost": "Cost and security\nchapters 11 and 12",
        },
        edges={
            "camera > service": "JPEG", "train > optimise": "", "optimise > service": "model",
            "service > proxy": "", "registry > proxy": "version", "proxy > watch": "", "watch > cost": "",
        },
        accent="service",
    )  # fmt: skip


def photographs() -> str:
    """A paragraph of what the final file and the baseline made of photographs of real steel; nothing where the networks
    were trained again since: chapter 4 then says so, and the site is built all the same."""
    from cvprod.bench.sim2real import recorded
    from cvprod.models import BASELINE, WeightsError
    from cvprod.optimize.zoo import PIPELINE

    try:
        final, baseline = recorded(PIPELINE), recorded(BASELINE)
    except WeightsError:
        return ""
    return (
        f"<p>Photographs of real steel are there to judge by, not to train on: of {final['n_images']} the final file "
        f"names {final['accuracy']:.1%} rightly, the baseline {baseline['accuracy']:.1%}.</p>"
    )


def front(app, exception: Exception | None) -> None:
    """After the build: the first page is `index.html` itself, and its old place leads there."""
    if exception or app.builder.format != "html":
        return
    old = Path(app.outdir) / f"{PAGE}.html"
    text = old.read_text(encoding="utf-8") if old.is_file() else STUB
    if 'http-equiv="Refresh"' in text[:300]:
        return  # nothing new since the last build
    (old.parents[1] / "index.html").write_text(at_the_top(text), encoding="utf-8")
    old.write_text(STUB, encoding="utf-8")


def at_the_top(page: str) -> str:
    """The page of `book/` as it must read one folder higher."""

    def moved(link: re.Match[str]) -> str:
        return f'{link[1]}="{posixpath.normpath(posixpath.join("book", link[2]))}'

    return LINK.sub(moved, page).replace('data-content_root="../"', 'data-content_root="./"')


def to_front(page: str, context: dict) -> str:
    """Links to the first page, in the page of `context`, lead to where it is."""
    if "pathto" not in context or context["pagename"] == PAGE:
        return page
    up = "../" * context["pagename"].count("/")
    return page.replace(f'href="{context["pathto"](PAGE)}"', f'href="{up}index.html"')
