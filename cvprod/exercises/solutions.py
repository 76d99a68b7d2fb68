"""An exercise as its author explains it: the solution, why it is one, what the tests hold, which mistakes lose points.

All of it is read from where it is true: the comment that opens a solution, the messages of the asserts, and the wrong
answers that the tests reject.
"""

from __future__ import annotations

import ast
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

from cvprod.exercises.course import GRADE_ID, HIDDEN_MARK, SOLUTION_END, SOLUTION_MARK, Exercise
from cvprod.repo import ROOT

WRONG = ROOT / "tests" / "exercises" / "wrong"


@dataclass(frozen=True)
class Solution:
    """One question. ``visible`` and ``hidden`` say what the asserts of that part of its test expect."""

    question: str
    points: float
    why: str
    code: str
    visible: tuple[str, ...]
    hidden: tuple[str, ...]
    mistakes: tuple[str, ...]


def solutions(exercise: Exercise, wrong: Path = WRONG) -> list[Solution]:
    """The questions of an exercise in their order; ``wrong`` holds EXERCISE/QUESTION__MISTAKE.py, if there is one."""
    found = []
    for question in exercise.questions:
        why, code = _explained(exercise.graded_cells[question.answer_id].source)
        visible, _, hidden = exercise.graded_cells[question.test_id].source.partition(HIDDEN_MARK)
        seen = expected(visible)
        unseen = tuple(text for text in expected(hidden) if text not in seen)
        files = sorted((wrong / exercise.name).glob(f"{question.title}__*.py"))
        mistakes = tuple(filter(None, (ast.get_docstring(ast.parse(path.read_text())) for path in files)))
        found.append(Solution(question.title, question.points, why, code, seen, unseen, mistakes))
    return found


def expected(test: str) -> tuple[str, ...]:
    """The messages of the asserts in ``test``, each once, in the order of its lines; a value in them is "..."."""
    asserts = sorted((n for n in ast.walk(ast.parse(test)) if isinstance(n, ast.Assert)), key=lambda n: n.lineno)
    return tuple(dict.fromkeys(filter(None, (_shown(node.msg) for node in asserts))))


def _shown(message: ast.expr | None) -> str:
    parts = message.values if isinstance(message, ast.JoinedStr) else [message]
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "..." for part in parts if part is not None)


def _explained(source: str) -> tuple[str, str]:
    """The comment that opens the solution, as one line of text, and the answer cell without the marks."""
    lines, why, opening = [], [], False
    for line in source.split("\n"):
        bare = line.strip()
        if bare == SOLUTION_MARK:
            opening = not why
        elif opening and bare.startswith("# "):
            why.append(bare.removeprefix("# "))
        elif bare != SOLUTION_END and not GRADE_ID.match(line):
            opening = False
            lines.append(line)
    return " ".join(why), re.sub(r"\n{3,}", "\n\n\n", textwrap.dedent("\n".join(lines)).strip())


def chapter(exercise: Exercise) -> int | None:
    """The chapter that an exercise belongs to, by its name; None for one about several chapters."""
    match = re.match(r"(\d\d)[a-z]_", exercise.name)
    return int(match[1]) if match else None
