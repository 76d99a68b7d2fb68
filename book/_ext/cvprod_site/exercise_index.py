"""The table on the page of exercises: what each asks for, its points and its time, read from the notebooks."""

import html
import re
from pathlib import Path

import nbformat

from cvprod.exercises.course import Exercise
from cvprod.exercises.solutions import chapter
from cvprod_site import solutions

PAGE, MARK = "book/exercises", "<!--cv-exercises-->"
HEADS = ("Exercise", "Chapter", "Points", "Time", "You write", "Afterwards")
MINUTES = re.compile(r"\*\*(\d+) points, about ([^*]*?)\.?\*\*")


def fill(app, pagename: str, templatename: str, context: dict, doctree: object) -> None:
    """Put the table where the page's mark is."""
    if pagename == PAGE and MARK in context.get("body", ""):
        context["body"] = context["body"].replace(MARK, table(Path(app.srcdir)))


def table(root: Path) -> str:
    """HTML of the table, a row an exercise; the path is relative to `book/`."""
    rows = [_row(path) for path in sorted((root / "exercises/release").glob("[0-9c]*/*.ipynb"))]
    head = "".join(f'<th scope="col">{name}</th>' for name in HEADS)
    return (
        '<div class="pst-scrollable-table-container" tabindex="0"><table class="table cv-exercises"><caption>'
        f"{len(rows)} exercises, graded by one command</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _row(path: Path) -> str:
    notebook = nbformat.read(path, as_version=4)
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    title = re.search(r"^# (?:Exercise )?(.*)$", text, re.MULTILINE)[1]
    stated = MINUTES.search(text)
    points, time = (stated[1], stated[2]) if stated else ("", "")
    parts = dict.fromkeys(re.findall(r"^#{2,3} (?:Question \d+:? ?|\d+\. ?)?(.+)$", text, re.MULTILINE))
    parts.pop("What to remember", None)
    exercise = Exercise(path.stem, path.parents[2])
    number = exercise.prefix.lstrip("0")
    link = f"../exercises/release/{path.parent.name}/{path.stem}.html"
    cells = (
        f'<th scope="row"><a href="{link}">{html.escape(title)}</a></th>',
        f"<td>{_chapters(exercise, text)}</td><td>{points}</td><td>{html.escape(time)}</td>",
        f"<td>{html.escape('; '.join(parts))}</td>",
        f'<td><a href="../{solutions.page(exercise)}.html#{solutions.anchor(exercise)}">Solution {number}</a></td>',
    )
    return f"<tr>{''.join(cells)}</tr>"


def _chapters(exercise: Exercise, text: str) -> str:
    """The chapter that an exercise belongs to, or those that a capstone links to."""
    if number := chapter(exercise):
        return str(number)
    linked = {int(number) for number in re.findall(r"/notebooks/(\d\d)_", text)}
    return ", ".join(map(str, sorted(linked)))
