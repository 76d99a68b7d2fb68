"""Predict, then see: a question with three answers before a figure, and the ledger's number behind it.

The questions stand in `book/predict.yml`, so that no notebook is touched. Which answer is right, and the number that is
revealed, are computed from the rows that the chapter wrote to the ledger in this build; where it has not run, or where
a row is missing on this machine, the question stays open and says so. Without a script it is a question with a
<details>; `predict.js` keeps the reader's choice in the browser, and opens the answer when one is chosen.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import pandas as pd
import yaml
from docutils import nodes

from cvprod_site.numbers import CHAPTER

PLACE = Path("book/predict.yml")
OPEN = "Not run here: no number of this build answers it. The figure below does, once the chapter has run."
_KEYS = {"chapter", "before", "ask", "value", "limits", "pick", "answers", "tell", "unit", "scale_rows"}


class QuestionError(ValueError):
    """A question that cannot be asked; the message says which, what is wrong and what to do."""


@dataclass(frozen=True)
class Question:
    """One entry of predict.yml. `answers` are texts (with `value`) or pairs of text and row (with `pick`)."""

    chapter: int
    before: str
    ask: str
    answers: tuple
    value: Mapping | None = None
    limits: tuple[float, float] | None = None
    tell: str = ""
    pick: Mapping | None = None
    unit: str = ""
    scale_rows: float = 1.0

    @property
    def name(self) -> str:
        """What the reader's browser calls it: the same as long as it asks the same."""
        return f"{self.chapter:02d}-{hashlib.sha256(self.ask.encode()).hexdigest()[:8]}"

    @property
    def texts(self) -> list[str]:
        """The three answers as the reader sees them."""
        return [answer["text"] for answer in self.answers] if self.pick else list(self.answers)

    @property
    def rows(self) -> list[str]:
        """The rows of the ledger, as patterns, of which the answer is made."""
        if self.pick:
            return [answer["row"] for answer in self.answers]
        found = [self.value.get("row"), *self.value.get("ratio", ()), *self.value.get("less", ())]
        return [row for row in found if row]


@dataclass(frozen=True)
class Answer:
    """What this build says: the place of the right answer (0, 1 or 2), and the sentence with the number."""

    right: int
    says: str


def load(path: Path) -> list[Question]:
    """Read the questions. Raises QuestionError for one that is not well formed."""
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(entries, list):
        raise QuestionError(f"{path}: write a list of questions.")
    return [_question(entry, path) for entry in entries]


def _question(entry: object, path: Path) -> Question:
    where = f"{path.name}, {entry.get('chapter')}, {entry.get('before')}" if isinstance(entry, dict) else path.name

    def fault(text: str) -> QuestionError:
        return QuestionError(f"{where}: {text}")

    if not isinstance(entry, dict) or set(entry) - _KEYS or not {"chapter", "before", "ask", "answers"} <= set(entry):
        raise fault(f"write chapter, before, ask and answers; a question has {', '.join(sorted(_KEYS))}.")
    if not ("value" in entry) == ("tell" in entry) == ("pick" not in entry):
        raise fault("write either value, limits and tell, or pick.")
    if len(entry["answers"]) != 3:
        raise fault(f"write three answers, not {len(entry['answers'])}.")
    made = entry | {"answers": tuple(entry["answers"]), "ask": " ".join(str(entry["ask"]).split())}
    if "pick" in entry:
        if entry["pick"].get("best") not in ("least", "most") or not all(
            isinstance(answer, dict) and set(answer) == {"text", "row"} for answer in entry["answers"]
        ):
            raise fault("a pick has best: least or most, and answers with text and row.")
    else:
        limits = entry.get("limits") or ()
        if len(limits) != 2 or not limits[0] < limits[1]:
            raise fault("write two limits, the lower one first.")
        made["limits"] = tuple(limits)
        if len({"row", "ratio", "less"} & set(entry["value"])) != 1:
            raise fault("a value has one of row, ratio and less.")
    how = entry.get("value") or entry["pick"]
    if (how.get("of") == "note") != ("find" in how):
        raise fault("find goes with of: note, and only with it.")
    return Question(**made)


def answer(question: Question, rows: pd.DataFrame) -> Answer | None:
    """The answer that the rows give; None where one of them, or its number, is not there.

    Raises QuestionError where a pattern means more than one row.
    """
    how = question.value or question.pick
    numbers = [_number(question, pattern, how, rows) for pattern in question.rows]
    if any(number is None for number in numbers):
        return None
    scale = how.get("scale", 1)
    if question.pick:
        chosen = min(numbers) if how["best"] == "least" else max(numbers)
        right = numbers.index(chosen)
        listed = "; ".join(
            f"{text} {number * scale:.3g} {question.unit}" for text, number in zip(question.texts, numbers, strict=True)
        )
        return Answer(right, f"{_sentence(listed)}.")
    a, b = (*numbers, None)[:2]
    if "ratio" in how:
        if not b:
            return None
        value = a / b
    else:
        value = a - b if "less" in how else a
    value *= scale
    right = sum(value >= limit for limit in question.limits)
    shown = {"a": a * question.scale_rows, "b": (b or 0) * question.scale_rows, "value": value}
    return Answer(right, question.tell.format(**shown))


def _number(question: Question, pattern: str, how: Mapping, rows: pd.DataFrame) -> float | None:
    found = [row for _, row in rows.iterrows() if fnmatchcase(row["name"], pattern)]
    if len(found) > 1:
        names = ", ".join(row["name"] for row in found)
        where = f"{PLACE.name}, chapter {question.chapter}, {question.before}"
        raise QuestionError(f"{where}: {pattern!r} means several rows: {names}. Name one.")
    if not found:
        return None
    value = found[0][how["of"]]
    if how["of"] == "note":
        told = re.search(how["find"], value)
        return float(told[1]) if told else None
    return None if pd.isna(value) else float(value)


def markup(question: Question, found: Answer | None) -> str:
    """The question as HTML."""
    name = html.escape(f"predict-{question.name}")
    choices = "".join(
        f'<label><input type="radio" name="{name}" value="{place}"> <span>{html.escape(_sentence(text))}</span></label>'
        for place, text in enumerate(question.texts)
    )
    right = f' data-right="{found.right}"' if found else ""
    if found:
        told = (
            f"<p><strong>{html.escape(_sentence(question.texts[found.right]))}.</strong> {html.escape(found.says)}</p>"
        )
    else:
        told = f"<p>{OPEN}</p>"
    return (
        f'<form class="cv-predict" data-predict="{html.escape(question.name)}"{right}><fieldset>'
        f"<legend>Predict, then see</legend><p>{html.escape(question.ask)}</p>{choices}</fieldset>"
        f'<p class="cv-predict-said" role="status"></p>'
        f"<details><summary>What was measured</summary>{told}</details></form>"
    )


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def ids(path: Path) -> list[str]:
    """The ids of a notebook's cells, in order."""
    return [cell.get("id", "") for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]]


def misplaced(questions: Sequence[Question], root: Path) -> list[str]:
    """A sentence for each question whose chapter or code cell is not there."""
    faults = []
    for question in questions:
        found = sorted((root / "notebooks").glob(f"{question.chapter:02d}_*.ipynb"))
        where = f"{PLACE}: the question before cell {question.before!r} of chapter {question.chapter}"
        if not found:
            faults.append(f"{where}: there is no such chapter")
            continue
        cells = json.loads(found[0].read_text(encoding="utf-8"))["cells"]
        cell = next((cell for cell in cells if cell.get("id") == question.before), None)
        if cell is None:
            faults.append(f"{where}: {found[0].name} has no such cell. Name the cell that shows the answer now")
        elif cell["cell_type"] != "code":
            faults.append(f"{where}: that is no code cell")
    return faults


def insert(app, doctree: nodes.document) -> None:
    """Put a chapter's questions before their cells. A place that is gone is a warning, which fails the build."""
    from sphinx.util import logging

    from cvprod import ledger

    chapter = CHAPTER.match(app.env.docname)
    path = Path(app.srcdir) / PLACE
    if not chapter or not path.is_file():
        return
    number = int(chapter[1])
    # The page is made again when a question, or the chapter's rows, have changed.
    app.env.note_dependency(str(path))
    measured = ledger.folder().absolute() / f"chapter_{number:02d}.jsonl"
    if measured.is_file():
        app.env.note_dependency(str(measured))
    questions = [question for question in load(path) if question.chapter == number]
    order = ids(Path(app.env.doc2path(app.env.docname)))
    cells = {
        order[cell["cell_index"]]: cell
        for cell in doctree.findall(nodes.container)
        if cell.get("nb_element") == "cell_code" and cell["cell_index"] < len(order)
    }
    rows = ledger.read(number)
    for question in questions:
        cell = cells.get(question.before)
        if cell is None:
            logging.getLogger(__name__).warning(
                "%s: the question before cell %r has lost its place: name the cell that shows the answer now",
                PLACE, question.before, location=app.env.docname,
            )  # fmt: skip
            continue
        block = nodes.raw("", markup(question, answer(question, rows)), format="html")
        cell.parent.insert(cell.parent.index(cell), block)
