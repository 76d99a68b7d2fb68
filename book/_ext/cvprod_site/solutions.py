"""Pages with the solutions, one for each chapter's exercises, folded: code, reasons, marking scheme, mistakes.

They are made from `exercises/source` and need no file of their own; each exercise's page ends with a link to its part.
"""

import html
import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from cvprod.exercises.course import Exercise, ExerciseError, discover
from cvprod.exercises.solutions import Solution, chapter, solutions

FOLDER = "exercises/solutions"
#: The page of exercises that belong to no single chapter.
SEVERAL = "capstones"
_RELEASED = re.compile(r"exercises/release/([\w-]+)/\1$")
_TITLE = re.compile(r"^# (?:Exercise )?(.*)$", re.MULTILINE)


def page(exercise: Exercise) -> str:
    """The name of the page that holds an exercise's solution."""
    number = chapter(exercise)
    return f"{FOLDER}/{SEVERAL if number is None else f'{number:02}'}"


def anchor(exercise: Exercise) -> str:
    """Where on its page an exercise begins."""
    return f"solution-{exercise.prefix}"


def collect(app) -> Iterator[tuple[str, dict, str]]:
    """The pages of the exercises that this build has: name, context, template (Sphinx: html-collect-pages)."""
    groups = defaultdict(list)
    for exercise in _exercises(Path(app.srcdir)):
        if _source(exercise) in app.env.found_docs:
            groups[page(exercise)].append(exercise)
    for name, exercises in groups.items():
        yield name, _context(name, exercises, app), "page.html"


def fill(app, pagename: str, templatename: str, context: dict, doctree: object) -> None:
    """End an exercise's page with the way to its solution."""
    match = _RELEASED.match(pagename)
    found = [e for e in _exercises(Path(app.srcdir)) if e.name == match[1]] if match else []
    for exercise in found if "body" in context else ():
        place = f"../../{page(exercise).removeprefix('exercises/')}.html#{anchor(exercise)}"
        context["body"] += (
            f'<p class="cv-solution-link">After your own attempt: <a href="{place}">the solution of exercise '
            f"{_number(exercise)}, why it is one, and how it is marked</a>.</p>"
        )


def _exercises(root: Path) -> list[Exercise]:
    try:
        return discover(root / "exercises")
    except ExerciseError:
        return []


def _source(exercise: Exercise) -> str:
    return f"exercises/release/{exercise.name}/{exercise.name}"


def _number(exercise: Exercise) -> str:
    return exercise.prefix.lstrip("0")


def _context(name: str, exercises: list[Exercise], app) -> dict:
    number = chapter(exercises[0])
    title = "Solutions of the capstones" if number is None else f"Solutions of chapter {number}"
    highlight = app.builder.highlighter.highlight_block
    parts = [
        f"<h1>{title}</h1>",
        "<p>Each question is folded: solve it first. A question gives all of its points or none, by the tests named "
        "below it, so a mistake in one costs nothing in another.</p>",
        *chain.from_iterable(_exercise(exercise, highlight) for exercise in exercises),
    ]
    heads = "".join(f'<li><a class="reference internal" href="#{anchor(e)}">{_title(e)}</a></li>' for e in exercises)
    said = f"{title}: the code, why it is right, what the tests hold and which mistakes lose the points."
    return {
        "title": title,
        "body": f'<section class="cv-solutions">{"".join(parts)}</section>',
        "metatags": f'<meta name="description" content="{said}" />',
        "display_toc": True,
        "toc": f"<ul>{heads}</ul>",
        "page_source_suffix": "",
        "sourcename": "",
        "meta": {},
    }


def _title(exercise: Exercise) -> str:
    return html.escape(_TITLE.search(exercise.source.cells[0].source)[1])


def _exercise(exercise: Exercise, highlight) -> Iterator[str]:
    back = f"../release/{exercise.name}/{exercise.name}.html"
    yield f'<section id="{anchor(exercise)}"><h2>{_title(exercise)}</h2>'
    yield f'<p><a href="{back}">Exercise {_number(exercise)}</a>: the questions, and the tests that you see.</p>'
    for solution in solutions(exercise):
        yield from _question(solution, highlight)
    yield "</section>"


def _question(one: Solution, highlight) -> Iterator[str]:
    yield f'<details class="cv-long"><summary><code>{one.question}</code>, {one.points:g} points</summary>'
    yield f"<p>{_text(one.why)}</p>" if one.why else ""
    yield f'<div class="highlight-ipython3 notranslate">{highlight(one.code, "ipython3")}</div>'
    for words, items in (
        ("The tests that you see hold:", one.visible),
        ("The tests that you do not see hold also:", one.hidden),
        ("Mistakes that lose the points:", one.mistakes),
    ):
        if items:
            yield f"<p>{words}</p><ul>{''.join(f'<li>{_text(item)}</li>' for item in items)}</ul>"
    yield "</details>"


def _text(words: str) -> str:
    """HTML of a comment or a message; what stands in backticks is code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(" ".join(words.split()), quote=False))
