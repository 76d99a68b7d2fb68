"""Put the nbgrader metadata back into a student's notebook, from the grade ids in its comments.

Colab and other editors drop cell metadata, and students delete or change test cells. What is the course's own
(metadata, tests, set-up cells) is repaired; what only the student can decide (a missing or doubled answer) is a
problem to report.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

from cvprod.exercises.course import TEST_SUFFIX, Exercise, ExerciseError, grade_id


@dataclass
class Restored:
    """A repaired copy of a student's notebook, what was repaired, and what could not be."""

    notebook: nbformat.NotebookNode
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def read_submission(path: Path) -> nbformat.NotebookNode:
    """Read any notebook version as format 4.5. Raises ExerciseError naming the file and what is wrong."""
    if path.exists() and not path.is_file():
        raise ExerciseError(f"{path}: not a file")
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ExerciseError(f"{path}: no such file") from None
    except OSError as error:
        raise ExerciseError(f"{path}: cannot be read ({error.strerror or error})") from None
    return parse_submission(data, str(path))


def parse_submission(data: bytes, label: str) -> nbformat.NotebookNode:
    """The notebook in those bytes, whatever a text editor made of them; ExerciseError names ``label``."""
    if not data.strip():
        raise ExerciseError(f"{label}: not a readable notebook (an empty file); save it again as .ipynb")
    wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))  # Notepad's "Unicode"; a BOM before UTF-8 goes in any case
    try:
        notebook = nbformat.reads(data.decode("utf-16" if wide else "utf-8-sig"), as_version=4)
        for cell in notebook.cells:
            if cell.cell_type not in ("code", "markdown", "raw") or not isinstance(cell.source, str):
                raise ValueError("a cell without type or text")
    except Exception as error:  # nbformat raises half a dozen kinds, down to bare AttributeError
        reason = str(error).strip().split("\n")[0][:200] or type(error).__name__
        raise ExerciseError(f"{label}: not a readable notebook ({reason}); save it again as .ipynb") from None
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = cell.get("outputs", [])
    return notebook


def identify(notebook: nbformat.NotebookNode, exercises: list[Exercise], path: Path | str) -> Exercise:
    """Return the exercise that a notebook answers: the one it shares most grade ids with, else the one of that name."""
    ids = {grade_id(cell) for cell in notebook.cells}
    best = max(exercises, key=lambda exercise: len(ids & set(exercise.graded_cells)))
    if ids & set(best.graded_cells):
        return best
    for exercise in exercises:
        if Path(path).stem == exercise.name:
            return exercise
    known = ", ".join(exercise.name for exercise in exercises)
    raise ExerciseError(f"{path}: no grade id of any exercise in it ({known}); is it the right notebook?")


def restore(submitted: nbformat.NotebookNode, exercise: Exercise, template: nbformat.NotebookNode) -> Restored:
    """Return a copy of ``submitted`` whose graded cells carry ``template``'s metadata and tests.

    ``template`` is the released notebook (for a student) or the source (for grading, with its hidden tests). Of a
    cell that appears twice the last one counts, as in nbgrader. A set-up cell that is not there before the first
    answer comes back in front.
    """
    result = Restored(copy.deepcopy(submitted))
    notebook, notes, problems = result.notebook, result.notes, result.problems
    originals = {cell.metadata.nbgrader.grade_id: cell for cell in template.cells if "nbgrader" in cell.metadata}
    notebook.metadata = copy.deepcopy(template.metadata)
    notebook.nbformat, notebook.nbformat_minor = 4, 5

    places: dict[str, list[int]] = defaultdict(list)
    for index, cell in enumerate(notebook.cells):
        name = grade_id(cell)
        lost = cell.metadata.pop("nbgrader", None)
        if name in originals:
            places[name].append(index)
            if lost != originals[name].metadata.nbgrader:
                notes.append(f"{name}: metadata restored")
        elif name is not None:
            problems.append(f"{name}: no such grade id in {exercise.name} (it has {', '.join(originals)})")

    doomed = set()
    for name, original in originals.items():
        is_answer = original.metadata.nbgrader.solution
        if not places[name]:
            continue
        *copies, index = places[name]
        cell = notebook.cells[index]
        if copies and is_answer:
            problems.append(f"{name}: {len(copies) + 1} cells carry this grade id; keep the line in one of them")
        elif copies:
            doomed.update(copies)
            notes.append(f"{name}: {len(copies)} copies of the test removed")
        if is_answer:
            if cell.cell_type != "code":
                problems.append(f"{name}: the answer is a {cell.cell_type} cell; turn it into a code cell")
                continue
            cell.metadata = copy.deepcopy(original.metadata)
            cell.id = original.id
        else:
            if cell.source.strip() != original.source.strip() or cell.cell_type != "code":
                notes.append(f"{name}: changed test replaced by the original")
            notebook.cells[index] = _fresh(original)

    notebook.cells = [cell for index, cell in enumerate(notebook.cells) if index not in doomed]
    for name, original in originals.items():
        if places[name]:
            continue
        if original.metadata.nbgrader.solution:
            problems.append(f"{name}: the answer cell is missing; its first line must be '# grade_id: {name}'")
            continue
        answer = name.removesuffix(TEST_SUFFIX)
        after = [index for index, cell in enumerate(notebook.cells) if grade_id(cell) == answer]
        notebook.cells.insert(after[-1] + 1 if after else len(notebook.cells), _fresh(original))
        notes.append(f"{name}: missing test put back")
    notes += _put_back_setup(notebook, exercise)
    _distinct_ids(notebook)
    return result


def _put_back_setup(notebook: nbformat.NotebookNode, exercise: Exercise) -> list[str]:
    """Insert the set-up cells that are missing, each behind the one before it; return a note for each."""
    cells, notes = notebook.cells, []
    place = int(bool(cells) and cells[0].cell_type == "markdown")  # behind the title
    for source, original in exercise.setup.items():
        graded = [index for index, cell in enumerate(cells) if "nbgrader" in cell.metadata]
        front = cells[: graded[0]] if graded else cells
        there = [i for i, cell in enumerate(front) if cell.cell_type == "code" and cell.source.strip() == source]
        if there:
            place = max(place, there[0] + 1)
            continue
        cells.insert(place, _fresh(original))
        place += 1
        notes.append(f"missing set-up put back: {source.splitlines()[0]}")
    return notes


def _fresh(original: nbformat.NotebookNode) -> nbformat.NotebookNode:
    cell = copy.deepcopy(original)
    cell.outputs, cell.execution_count = [], None
    return cell


def _distinct_ids(notebook: nbformat.NotebookNode) -> None:
    """Give every cell an id of its own; graded cells keep theirs."""
    taken = {cell.id for cell in notebook.cells if "nbgrader" in cell.metadata}
    for index, cell in enumerate(notebook.cells):
        if "nbgrader" in cell.metadata:
            continue
        if not isinstance(cell.get("id"), str) or cell.id in taken:
            cell.id = f"cell-{index:03d}-restored"
        taken.add(cell.id)
