"""A copy with other names is found, two students' own work is not."""

import copy
import re
from pathlib import Path

import pytest

from cvprod.book import notebooks
from cvprod.exercises import hand_back, likeness
from cvprod.exercises.batch import Settings, grade_class
from cvprod.exercises.course import discover, grade_id, named
from cvprod.exercises.grade import Report
from cvprod.exercises.likeness import PUBLISHED, fragments, normalised, pairs
from cvprod.exercises.solutions import chapter
from cvprod.repo import ROOT

EXERCISES = discover()
NAME = "01b_coordinated_omission"
EXERCISE = named(EXERCISES, NAME)
RIGHT, WRONG = (ROOT / "tests/exercises" / kind for kind in ("right", "wrong"))
OWN = """
def blame(spans):
    below = {}
    for s in spans:
        if s["waits"]:
            below.setdefault(s["parent"], []).append(s)
    owed = {s["id"]: 0.0 for s in spans}
    def give(span, a, b):
        for child in sorted(below.get(span["id"], []), key=lambda c: -c["end"]):
            if child["end"] > a and child["start"] < b:
                owed[span["id"]] += max(0.0, b - child["end"])
                give(child, max(a, child["start"]), min(b, child["end"]))
                b = child["start"]
        owed[span["id"]] += max(0.0, b - a)
    for root in below[None]:
        give(root, root["start"], root["end"])
    return owed
"""


def _renamed(source):
    """What a student makes of somebody else's answer: other names, a comment, a docstring, more space."""
    for old, new in (("below", "tree"), ("owed", "result"), ("give", "walk"), ("child", "k"), ("root", "top")):
        source = re.sub(rf"\b{old}\b", new, source)
    return source.replace("    tree = {}", '    """My own."""\n\n    tree = {}  # children', 1).replace("[s[", "[ s[")


def test_a_copy_under_other_names_is_the_same_and_another_way_is_not():
    assert normalised(_renamed(OWN)) == normalised(OWN) != ()
    assert normalised(OWN.replace("max(0.0, b - a)", "b - a")) != normalised(OWN)
    assert normalised("def f(:") == ()
    found = pairs({"ada": fragments(OWN), "bob": fragments(_renamed(OWN))}, frozenset(), frozenset())
    assert [(p.first, p.second, p.share) for p in found] == [("ada", "bob", 1.0)]


def test_arguments_given_by_the_task_keep_their_names_and_inner_ones_do_not():
    assert normalised("def f(a):\n    return a") != normalised("def f(b):\n    return b")
    inner = "def f(a):\n    return map(lambda {0}: {0} + 1, a)"
    assert normalised(inner.format("x")) == normalised(inner.format("y"))


def test_what_half_of_the_class_wrote_and_what_was_given_say_nothing():
    class_ = {f"s{k}": fragments(OWN) for k in range(10)}
    assert pairs(class_, frozenset(), frozenset()) == []
    two = {"ada": fragments(OWN), "bob": fragments(OWN)}
    assert pairs(two, fragments(OWN), frozenset()) == []
    assert [pair.second for pair in pairs({"ada": fragments(OWN)}, frozenset(), fragments(OWN))] == [PUBLISHED]


@pytest.mark.parametrize("exercise", filter(chapter, EXERCISES), ids=lambda exercise: exercise.name)
def test_independent_right_answers_are_not_alike(exercise):
    """Different ways to solve a question. (Those of a capstone are long, and share what they do not differ in.)"""
    for question in exercise.questions:
        files = sorted((RIGHT / exercise.name).glob(f"{question.title}__*.py"))
        own = {path.stem: fragments(path.read_text()) for path in files}
        published = fragments(exercise.graded_cells[question.answer_id].source)
        found = [(p.first, p.second) for p in pairs(own, frozenset(), published)]
        assert not found, found


def _hand_in(folder: Path, student: str, answer: str):
    notebook = copy.deepcopy(notebooks.read(EXERCISE.release_path))
    for cell in notebook.cells:
        if grade_id(cell) == "01b_backfill":
            cell.source = f"# grade_id: 01b_backfill\n{answer}"
    (folder / f"{student}.ipynb").write_text(notebooks.nbformat.writes(notebook))


def test_the_class_has_a_table_of_likeness(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    _hand_in(folder, "ada", OWN)
    _hand_in(folder, "bob", _renamed(OWN))
    for mistake in ("copies", "list", "one_each"):
        _hand_in(folder, mistake, (WRONG / NAME / f"backfill__{mistake}.py").read_text())
    _hand_in(folder, "eve", EXERCISE.graded_cells["01b_backfill"].source.replace("filled", "every_wait"))
    grade = lambda data, label, *_, **__: Report(label, NAME, [])  # noqa: E731
    outcome = grade_class(folder, tmp_path / "out", EXERCISES, Settings(), say=lambda _: None, grade=grade)
    hand_back.write_all(tmp_path / "out", outcome, EXERCISES, [])
    lines = (tmp_path / "out/likeness.csv").read_text().splitlines()
    assert lines[0] == "exercise,student,other,alike_percent,fragments"
    assert lines[1].startswith(f"{NAME},ada,bob,100,")
    assert lines[2].startswith(f"{NAME},eve,{PUBLISHED},100,") and len(lines) == 3
    assert "Alike" in (tmp_path / "out/class.html").read_text()
    assert int(lines[1].rpartition(",")[2]) >= likeness.LEAST
