"""A plain warning on a page with a failed cell: at its top, and over the cell."""

from docutils import nodes

TOP = "On this machine {cells} of this page failed, so parts of it are missing or wrong. The error stands below."
HERE = "This cell failed here; what builds on it may be missing or wrong."


def failed(doctree: nodes.document) -> list[nodes.container]:
    """The code cells whose outputs hold an error that the notebook does not expect."""
    return [
        cell
        for cell in doctree.findall(nodes.container)
        if cell.get("nb_element") == "cell_code"
        and "raises-exception" not in cell.get("cell_metadata", {}).get("tags", [])
        and any("traceback" in output.get("classes", []) for output in cell.findall(nodes.Element))
    ]


def _warning(text: str) -> nodes.admonition:
    title, body = nodes.title("", "A cell failed"), nodes.paragraph("", text)
    return nodes.admonition("", title, body, classes=["warning", "cv-failed"])


def warn(app, doctree: nodes.document) -> None:
    """Put the warnings in."""
    cells = failed(doctree)
    for cell in cells:
        cell.parent.insert(cell.parent.index(cell), _warning(HERE))
    if cells:
        section = next(doctree.findall(nodes.section), doctree)
        after_title = next((i for i, child in enumerate(section) if not isinstance(child, nodes.title)), len(section))
        count = "one cell" if len(cells) == 1 else f"{len(cells)} cells"
        section.insert(after_title, _warning(TOP.format(cells=count)))
