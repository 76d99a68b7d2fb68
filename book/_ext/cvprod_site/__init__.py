"""The book's own Sphinx extension: fresh ledger, labels on hardware cells, light and accessible pages."""

import re
from functools import partial

from sphinx.application import Sphinx

from cvprod_site import assets, failed_cells, hardware_cells, mathml, numbers, pages

CHAPTER = re.compile(r"notebooks/\d\d_")
LEDGER = "notebooks/ledger"


def ledger_follows_chapters(app, env, added, changed, removed):
    """Read the ledger again whenever a chapter is: its rows come from the chapters' runs.

    Sphinx reads in the order of names, so the ledger (no leading digit) comes after every chapter.
    """
    touched = any(CHAPTER.match(name) for name in {*added, *changed, *removed})
    return [LEDGER] if touched and LEDGER in env.found_docs else []


def wrap_templates(app: Sphinx) -> None:
    """Let every page that is written pass through `pages.finish`."""
    if app.builder.format != "html":
        return
    render = app.builder.templates.render

    def finished(template: str, context: dict) -> str:
        output = render(template, context)
        return pages.finish(output, context) if "pagename" in context else output

    app.builder.templates.render = finished


def setup(app: Sphinx) -> dict:
    app.connect("env-get-outdated", ledger_follows_chapters)
    app.connect("builder-inited", wrap_templates)
    app.connect("env-get-updated", numbers.renumber, priority=900)  # after Sphinx's own count, at 500
    app.connect("doctree-read", hardware_cells.label)
    app.connect("doctree-read", failed_cells.warn)
    app.connect("html-page-context", pages.describe)
    app.connect("build-finished", assets.slim)
    app.add_html_math_renderer(
        "mathml",
        inline_renderers=(partial(mathml.visit, display=False), None),
        block_renderers=(partial(mathml.visit, display=True), None),
    )
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
