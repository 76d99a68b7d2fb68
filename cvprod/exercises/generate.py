"""Write the students' notebooks from the sources, with nbgrader's own steps."""

from __future__ import annotations

import copy
import logging
import re
import shutil
from pathlib import Path

import nbformat
from nbgrader.converters import GenerateAssignment
from nbgrader.preprocessors import IncludeHeaderFooter, InstantiateTests, SaveCells

from cvprod.book import notebooks
from cvprod.exercises.course import COURSE, Exercise, ExerciseError, badge, discover, faults, nbgrader_metadata
from cvprod.exercises.overlay import Overlay

# What `nbgrader generate_assignment` does, without its database (SaveCells) and two features the course does not use.
_LEFT_OUT = (SaveCells, IncludeHeaderFooter, InstantiateTests)
STEPS = [step for step in GenerateAssignment.preprocessors.default_args[0] if step not in _LEFT_OUT]


def normalised(exercise: Exercise) -> nbformat.NotebookNode:
    """Return the source as it should be committed: no outputs, today's bootstrap cell and Colab badge."""
    notebook = copy.deepcopy(exercise.source)
    notebook.metadata["mystnb"] = nbformat.from_dict({"execution_mode": "off"})
    notebook = notebooks.normalise(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if notebook.cells:
        first = notebook.cells[0]
        first.source = re.sub(r"^\[!\[Open in Colab\].*$", lambda _: badge(exercise), first.source, flags=re.MULTILINE)
    for cell in code:
        marks = nbgrader_metadata(cell.source)
        if marks:
            cell.metadata["nbgrader"] = nbformat.from_dict(marks)
            cell.id = marks["grade_id"]  # an id that means something, and survives regeneration
    return notebook


def released(exercise: Exercise) -> nbformat.NotebookNode:
    """Return the student's notebook: no solutions, no hidden tests, locked tests with their checksums."""
    notebook, resources = normalised(exercise), {}
    for step in STEPS:
        instance = step()
        instance.log.setLevel(logging.ERROR)
        notebook, resources = instance.preprocess(notebook, resources)
    return notebook


def text(notebook: nbformat.NotebookNode) -> str:
    """Return a notebook's file content; equal notebooks give equal text."""
    return nbformat.writes(notebook).rstrip("\n") + "\n"


def generate(course: Path = COURSE, *, check: bool = False) -> list[str]:
    """Normalise every source and write its release; with ``check`` write nothing. Returns what was (or is) stale.

    Raises ValueError, naming every fault, for sources that break the rules (see ``course.faults``).
    """
    exercises = discover(course)
    wanted = {}
    for exercise in exercises:
        wanted[exercise.source_path] = text(normalised(exercise))
        wanted[exercise.release_path] = text(released(exercise))
    names = {exercise.name for exercise in exercises}
    orphans = [path for path in course.glob("release/[!.]*") if path.is_dir() and path.name not in names]
    stale = [path for path, content in wanted.items() if not path.exists() or path.read_text() != content]
    if not check:
        for path in stale:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[path])
        for path in orphans:
            shutil.rmtree(path)
    broken = [fault for exercise in discover(course) for fault in faults(exercise)]
    if broken:
        raise ValueError("\n".join(broken))
    return [str(path.relative_to(course)) for path in stale + orphans]


def generate_private(overlay: Overlay, output: Path, course: Path = COURSE) -> list[Path]:
    """Write an nbgrader course with the overlay's hidden tests into the folder `output`; returns what was written.

    Its releases are those of the public course. nbgrader runs the same tests for everybody, so all share one seed.
    Raises ExerciseError for a folder in the course, which would be published.
    """
    if output.resolve().is_relative_to(course.resolve()):
        raise ExerciseError(f"-o {output}: lies in the course, where it would be published; name a folder elsewhere")
    files = {"nbgrader_config.py": (course / "nbgrader_config.py").read_text()}
    for exercise in discover(course):
        private = overlay.apply(exercise, "")
        if private is not exercise:
            files[f"source/{exercise.name}/{exercise.name}.ipynb"] = text(normalised(private))
            files[f"release/{exercise.name}/{exercise.name}.ipynb"] = text(released(exercise))
    for name, content in files.items():
        (output / name).parent.mkdir(parents=True, exist_ok=True)
        (output / name).write_text(content)
    return [output / name for name in files]
