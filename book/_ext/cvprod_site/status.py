"""The status page: on which machine, with which versions and how long each chapter of this build ran."""

import html
import platform
from importlib import metadata
from pathlib import Path

from cvprod_site import reading
from cvprod_site.numbers import CHAPTER

PAGE, MARK = "book/status", "<!--cv-status-->"
PACKAGES = ("torch", "onnx", "onnxruntime", "openvino", "numpy", "fastapi", "mlflow", "jupyter-book", "sphinx")


def whole(app) -> bool:
    """Whether the whole book is built: one chapter alone has no status page."""
    return PAGE in app.env.found_docs


def fill(app, pagename: str, templatename: str, context: dict, doctree: object) -> None:
    """Put the tables where the page's mark is."""
    if pagename == PAGE and MARK in context.get("body", ""):
        context["body"] = context["body"].replace(MARK, chapters(app.env) + machine())


def chapters(env) -> str:
    """HTML of the table of chapters: what each took, and when and where its rows were measured."""
    from cvprod import ledger

    rows = ledger.read()
    lines = []
    for docname in sorted(filter(CHAPTER.match, env.found_docs)):
        number = int(CHAPTER.match(docname)[1])
        own = rows[rows["chapter"] == number]
        seconds = reading.run_time(env, docname)
        title = html.escape(env.titles[docname].astext())
        lines.append([
            f'<th scope="row"><a href="../{docname}.html">{number}. {title}</a></th>',
            f"<td>{seconds:.0f} s</td>" if seconds else "<td>not run here</td>",
            f"<td>{reading.minutes(Path(env.doc2path(docname)))} min</td>",
            f"<td>{len(own) or '–'}</td>",
            f"<td>{own['date'].max():%Y-%m-%d %H:%M}</td>" if len(own) else "<td>–</td>",
            f"<td>{html.escape(own['cpu'].iloc[0])}, {own['cores'].iloc[0]} cores</td>" if len(own) else "<td>–</td>",
        ])  # fmt: skip
    heads = ("Chapter", "Cells ran in", "To read", "Ledger rows", "Measured (UTC)", "On")
    return _table("Each chapter in this build", heads, lines)


def machine() -> str:
    """HTML of the table of versions: what this site was built with."""
    from cvprod import measure

    here = measure.machine()
    lines = [("Processor", f"{here['cpu']}, {here['cores']} cores"), ("System", platform.platform(terse=True))]
    lines.append(("Python", platform.python_version()))
    lines += [(name, found) for name in PACKAGES if (found := _version(name))]
    cells = [[f'<th scope="row">{html.escape(name)}</th>', f"<td>{html.escape(said)}</td>"] for name, said in lines]
    return _table("The machine that built this site", ("What", "Here"), cells)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _table(caption: str, heads: tuple[str, ...], lines: list[list[str]]) -> str:
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    body = "".join(f"<tr>{''.join(cells)}</tr>" for cells in lines)
    return (
        f'<div class="pst-scrollable-table-container" tabindex="0" role="group" aria-label="{caption}">'
        f'<table class="table cv-status"><caption>{caption}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )
