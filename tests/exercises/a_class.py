"""What a class hands in: every kind of notebook and file that has come back from students, for exercise 1b.

Each kind knows what must become of it, so that a whole class can be graded and compared.
"""

import copy
import io
import itertools
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from cvprod.book import notebooks
from cvprod.exercises.course import COURSE, discover, grade_id, named
from cvprod.exercises.generate import text

EXERCISES = discover()
EXERCISE = named(EXERCISES, "01b_coordinated_omission")
OTHER = named(EXERCISES, "01a_percentiles")
WRONG = Path(__file__).parent / "wrong" / EXERCISE.name
GRADED, NOT_GRADED, OTHER_EXERCISE = "graded", "not graded", "other exercise"


def solved(exercise=EXERCISE):
    """The source's answers in the released notebook: a perfect student."""
    notebook = copy.deepcopy(notebooks.read(exercise.release_path))
    answers = {grade_id(c): c.source for c in exercise.source.cells if c.metadata.get("nbgrader", {}).get("solution")}
    for cell in notebook.cells:
        cell.source = answers.get(grade_id(cell), cell.source)
    return notebook


def edited(question, source, notebook=None):
    """A perfect student's notebook with one other answer."""
    notebook = notebook or solved()
    for cell in notebook.cells:
        if grade_id(cell) == question:
            cell.source = f"# grade_id: {question}\n{source}"
    return notebook


@dataclass(frozen=True)
class Kind:
    """One way to hand in. ``make(i)`` gives the files of student ``i``: name -> content, the last of them counts.

    ``says`` must stand in the reason, or in what the grader wants somebody to look at.
    """

    make: Callable[[int], dict[str, bytes]]
    status: str = GRADED
    points: float | None = 10.0
    says: str = ""
    hangs: bool = False  # runs into a limit by the clock


def _as(ending, change=lambda notebook: notebook, encode=str.encode):
    """Files with one notebook each, called by the student, after a change."""
    return lambda i: {f"student{i:03d}{ending}": encode(_numbered(change(solved()), i))}


def _numbered(notebook, i):
    """Text of a notebook that no other student has: a comment says whose it is."""
    notebook.cells.append(new_code_cell(f"# student {i}"))
    return text(notebook)


def _answer(source, question="01b_backfill"):
    return _as(".ipynb", lambda notebook: edited(question, source, notebook))


def _without_metadata(notebook):
    """What Colab leaves: no metadata, ids of its own, an older minor version."""
    notebook.metadata = nbformat.from_dict({"colab": {"provenance": []}})
    notebook.nbformat_minor = 0
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({"id": "Xy"})
        cell.pop("id", None)
    return notebook


def _without(name):
    def change(notebook):
        notebook.cells = [cell for cell in notebook.cells if grade_id(cell) != name]
        return notebook

    return change


def _first(source):
    def change(notebook):
        notebook.cells.insert(1, new_code_cell(source))
        return notebook

    return change


def _easier(notebook):
    for cell in notebook.cells:
        if grade_id(cell) == "01b_backfill_test":
            cell.source = "# grade_id: 01b_backfill_test (3 points)\nassert True"
    return edited("01b_backfill", "def backfill(latencies, period):\n    return latencies", notebook)


def _zip(i):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("homework/01b.ipynb", _numbered(solved(), i))
        archive.writestr("__MACOSX/homework/._01b.ipynb", "x")
    return {f"student{i:03d}.zip": packed.getvalue()}


def _versions(i):
    """A stub, a wrong one, the right one: numbers in the names say which is the latest."""
    stub = notebooks.read(EXERCISE.release_path)
    wrong = edited("01b_backfill", (WRONG / "backfill__copies.py").read_text())
    found = {f"student{i:03d}.ipynb": stub, f"student{i:03d} (1).ipynb": wrong, f"student{i:03d} (2).ipynb": solved()}
    return {name: _numbered(notebook, i).encode() for name, notebook in found.items()}


def _wrong(i):
    """One of the wrong answers that the tests know, a different one for each student."""
    files = sorted(WRONG.glob("backfill__*.py"))
    notebook = edited("01b_backfill", files[i % len(files)].read_text())
    return {f"student{i:03d}.ipynb": _numbered(notebook, i).encode()}


READS = f"""
from pathlib import Path
def backfill(latencies, period):
    return eval(Path({str(EXERCISE.source_path)!r}).read_text())
"""
WRITES = f"""
import pathlib
for path in pathlib.Path({str(COURSE)!r}).rglob("*.ipynb"):
    path.write_text("x")
def backfill(latencies, period):
    return latencies
"""
HOG = "import numpy as np\ndef backfill(latencies, period):\n    return np.ones(6 << 27)"  # 6 GiB
LOOP = "def backfill(latencies, period):\n    while True:\n        pass"
SWALLOWS = """
def backfill(latencies, period):
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass
"""
SLEEPS = "import time\ndef backfill(latencies, period):\n    time.sleep(3600)"
DIES = "import os\ndef backfill(latencies, period):\n    os._exit(0)"
FLOOD = "print('x' * 1000 + chr(10), end='')\n" * 50
LEAVES = "import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])"

KINDS = {
    "right": Kind(_as(".ipynb")),
    "wrong": Kind(_wrong, points=7.0),
    "stub": Kind(
        lambda i: {f"student{i:03d}.ipynb": _numbered(notebooks.read(EXERCISE.release_path), i).encode()}, points=0.0
    ),
    "damaged by Colab": Kind(_as(".ipynb", _without_metadata)),
    "syntax error": Kind(_answer("def backfill(latencies, period:\n    return"), points=7.0),
    "loops": Kind(_answer(LOOP), points=7.0, hangs=True),
    "swallows the interrupt": Kind(_answer(SWALLOWS), points=7.0, hangs=True),
    "sleeps": Kind(_answer(SLEEPS), points=7.0, hangs=True),
    "6 GiB": Kind(_answer(HOG), points=7.0),
    "ends its kernel": Kind(_answer(DIES), points=7.0),
    "exit() in a cell": Kind(_as(".ipynb", _first("exit()"))),
    "floods its output": Kind(_as(".ipynb", _first(FLOOD))),
    "leaves a process": Kind(_as(".ipynb", _first(LEAVES))),
    "reads the solutions": Kind(_answer(READS), points=7.0, says="names the course's files"),
    "rewrites the course": Kind(_answer(WRITES), points=7.0, says="tried to write"),
    "easier test": Kind(_as(".ipynb", _easier), points=7.0, says="the visible test was edited"),
    "no test": Kind(_as(".ipynb", _without("01b_backfill_test"))),
    "no answer": Kind(_as(".ipynb", _without("01b_backfill")), points=7.0),
    "from the source": Kind(
        lambda i: {f"student{i:03d}.ipynb": _numbered(copy.deepcopy(EXERCISE.source), i).encode()},
        says="comes from exercises/source",
    ),
    ".ipynb.txt": Kind(_as(".ipynb.txt")),
    "upper case": Kind(_as(".IPYNB")),
    "BOM": Kind(_as(".ipynb", encode=lambda content: b"\xef\xbb\xbf" + content.encode())),
    "UTF-16": Kind(_as(".ipynb", encode=lambda content: content.encode("utf-16"))),
    "zip": Kind(_zip),
    "folder": Kind(lambda i: {f"student{i:03d}/work.ipynb": _numbered(solved(), i).encode()}),
    "several versions": Kind(_versions),
    "empty file": Kind(lambda i: {f"student{i:03d}.ipynb": b""}, NOT_GRADED, None, "an empty file"),
    "empty notebook": Kind(
        lambda i: {f"student{i:03d}.ipynb": text(new_notebook()).encode() + b" " * i}, NOT_GRADED, None, "no grade id"
    ),
    "cut in half": Kind(
        lambda i: {f"student{i:03d}.ipynb": _numbered(solved(), i).encode()[:4000]}, NOT_GRADED, None, "not a readable"
    ),
    "a PDF": Kind(lambda i: {f"student{i:03d}.pdf": b"%PDF-1.7"}, NOT_GRADED, None, "not a notebook (.pdf)"),
    "broken zip": Kind(lambda i: {f"student{i:03d}.zip": b"PK\x03\x04x"}, NOT_GRADED, None, "cannot be opened"),
    "too large": Kind(
        lambda i: {f"student{i:03d}.ipynb": b" " * (21 << 20)}, NOT_GRADED, None, "larger than 20 MiB"
    ),
    "another exercise": Kind(
        lambda i: {f"student{i:03d}.ipynb": _numbered(solved(OTHER), i).encode()},
        OTHER_EXERCISE,
        None,
        "handed in 01a_percentiles",
    ),
}  # fmt: skip


def hand_in(folder: Path, count: int, kinds=tuple(KINDS)) -> dict[str, str]:
    """Write the files of ``count`` students, the kinds in turn; return the file that counts -> its kind."""
    counts = {}
    for i, kind in zip(range(count), itertools.cycle(kinds)):
        files = KINDS[kind].make(i)
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        counts[_label(name, content)] = kind
    return counts


def _label(name, content):
    """How the grader calls a file: a member of an archive by both names."""
    if name.endswith(".zip") and zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return f"{name}/{archive.namelist()[0]}"
    return name


def marked(records: Path) -> dict[str, bytes]:
    """File -> its record, of what has a mark so far."""
    return {json.loads(path.read_bytes())["report"]["path"]: path.read_bytes() for path in records.glob("*.json")}
