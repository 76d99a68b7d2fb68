"""Run an exercise's cells in this process: no kernel to start, so a hundred answers take seconds.

Scores come from the grader's own ``mark``; only the kernel is replaced.
"""

import contextlib
import copy
import io
import types

from cvprod.book.notebooks import bootstrap_extra
from cvprod.exercises.course import Exercise
from cvprod.exercises.grade import Mark, mark
from cvprod.exercises.restore import restore
from cvprod.exercises.runner import failure


class InProcess:
    """Stands in for a Runner, with a namespace of its own for each notebook."""

    def __init__(self):
        self.namespace = types.ModuleType("__main__").__dict__

    def run(self, cell, *, test=False):
        cell.outputs = []
        if bootstrap_extra(cell) is not None:
            return  # it has a magic, and nothing to install here
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(cell.source, cell.id, "exec"), self.namespace)
        except Exception as error:
            cell.outputs.append(failure(type(error).__name__, str(error)))


def marks(exercise: Exercise, notebook) -> dict[str, Mark]:
    """Question -> mark of a whole notebook, as the grader gives them."""
    restored = restore(notebook, exercise, exercise.source)
    assert not restored.problems
    return {result.question: result for result in mark(restored.notebook, exercise, InProcess().run)}


def mark_answer(exercise: Exercise, template, question: str, answer: str | None = None) -> Mark:
    """The mark that ``answer`` (default: the template's own) gets for one question of ``template``, by its tests.

    The other questions' cells are left out, so an answer that leans on them fails.
    """
    own = {f"{exercise.prefix}_{question}", f"{exercise.prefix}_{question}_test"}
    notebook = copy.deepcopy(template)
    notebook.cells = [c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") in own | {None}]
    for cell in notebook.cells:
        if answer is not None and cell.metadata.get("nbgrader", {}).get("solution"):
            cell.source = answer
    (result,) = mark(notebook, exercise, InProcess().run)
    return result
