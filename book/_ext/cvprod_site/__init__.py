"""The book's own Sphinx extension: fresh ledger, labels on hardware cells, light and accessible pages."""

from functools import partial

from sphinx.application import Sphinx

from cvprod_site import (
    archive,
    assets,
    discovery,
    exercise_index,
    failed_cells,
    glossary,
    hardware_cells,
    landing,
    live,
    mathml,
    numbers,
    pages,
    predict,
    pwa,
    reading,
    redirects,
    solutions,
    status,
)

#: The theme writes its colours of code at the end of a build, with priority 500: what packs files comes after that.
AFTER_THEME = 900
#: What shows rows that chapters measured, or where they use a term.
FOLLOWERS = ("notebooks/ledger", landing.PAGE, status.PAGE, glossary.PAGE)


def ledger_follows_chapters(app, env, added, changed, removed):
    """Read the ledger, and the pages that lead with it or list it, again whenever a chapter is.

    Sphinx reads in the order of names, so the ledger (no leading digit) comes after every chapter; the others are
    filled when they are written, which is after all have been read.
    """
    touched = any(numbers.CHAPTER.match(name) for name in {*added, *changed, *removed})
    return [name for name in FOLLOWERS if touched and name in env.found_docs]


def wrap_templates(app: Sphinx) -> None:
    """Let every page that is written pass through `pages.finish`."""
    if app.builder.format != "html":
        return
    render = app.builder.templates.render

    def finished(template: str, context: dict) -> str:
        output = render(template, context)
        return landing.to_front(pages.finish(output, context), context) if "pagename" in context else output

    app.builder.templates.render = finished


def setup(app: Sphinx) -> dict:
    app.connect("env-get-outdated", ledger_follows_chapters)
    app.connect("builder-inited", wrap_templates)
    app.connect("env-get-updated", numbers.renumber, priority=900)  # after Sphinx's own count, at 500
    app.connect("doctree-read", hardware_cells.label)
    app.connect("doctree-read", failed_cells.warn)
    app.connect("doctree-read", predict.insert)
    app.connect("doctree-read", glossary.link)
    app.connect("env-purge-doc", glossary.forget)
    app.connect("env-merge-info", glossary.merge)
    app.connect("html-page-context", assets.mark)
    app.connect("html-page-context", pages.describe)
    app.connect("html-page-context", discovery.introduce)
    app.connect("html-page-context", landing.fill)
    app.connect("html-page-context", exercise_index.fill)
    app.connect("html-page-context", solutions.fill)
    app.connect("html-collect-pages", solutions.collect)
    app.connect("html-page-context", status.fill)
    app.connect("html-page-context", glossary.back)
    app.connect("html-page-context", reading.times)
    app.connect("build-finished", assets.slim, priority=AFTER_THEME)
    app.connect("build-finished", live.write, priority=AFTER_THEME)
    app.connect("build-finished", landing.front, priority=AFTER_THEME)
    app.connect("build-finished", redirects.write, priority=AFTER_THEME)
    app.connect("build-finished", discovery.write, priority=AFTER_THEME)
    app.connect("build-finished", pwa.write, priority=AFTER_THEME)
    app.connect("build-finished", archive.write, priority=AFTER_THEME)  # last: it holds what the others made
    app.add_html_math_renderer(
        "mathml",
        inline_renderers=(partial(mathml.visit, display=False), None),
        block_renderers=(partial(mathml.visit, display=True), None),
    )
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
