"""Hidden tests of an instructor's own: they grade, they differ by student, and no released notebook knows them."""

import copy
import csv

import pytest
from a_class import EXERCISE, EXERCISES, edited, solved
from in_process import marks

from cvprod.book import notebooks
from cvprod.exercises import sandbox
from cvprod.exercises.__main__ import main
from cvprod.exercises.batch import Settings, grade_class
from cvprod.exercises.course import COURSE, ExerciseError, discover, named
from cvprod.exercises.generate import text
from cvprod.exercises.grade import Mark, Report
from cvprod.exercises.overlay import VARIABLE, Overlay, begin

NAME = EXERCISE.name
#: Right for every public test, and wrong for the private one below.
LEARNT = """
def backfill(latencies, period):
    if len(latencies) == 1 and latencies[0] == 77:
        return np.array([77])
    return np.concatenate([np.arange(x, 0, -period) for x in latencies]) if len(latencies) else np.array([])
"""
PRIVATE = 'assert sorted(backfill([77], 20)) == [17, 37, 57, 77], "one long wait hides three requests"\n'
SEEDED = """
_r = np.random.default_rng(_seed)
_long = int(_r.integers(50, 90))
assert len(backfill([_long], 10)) == -(-_long // 10), "one request for each period of the wait"
"""


@pytest.fixture
def folder(tmp_path):
    """An overlay with one question's tests."""
    return _overlay(tmp_path / "private", {f"{NAME}/backfill.py": PRIVATE})


def _overlay(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


def _points(exercise, notebook):
    return marks(exercise, notebook)["backfill"].points


def test_private_tests_take_the_place_of_the_public_hidden_ones(folder):
    learnt = edited("01b_backfill", LEARNT)
    assert _points(EXERCISE, learnt) == 3
    overlaid = Overlay(folder, EXERCISES).apply(EXERCISE, "ada")
    assert _points(overlaid, learnt) == 0 and _points(overlaid, solved()) == 3
    source = overlaid.graded_cells["01b_backfill_test"].source
    assert "35 waited for 10" in source and "the log itself was changed" not in source, "visible ones stay"
    assert overlaid.graded_cells["01b_highest_rate_test"] == EXERCISE.graded_cells["01b_highest_rate_test"]


def test_more_tests_run_after_the_public_ones(tmp_path):
    folder = _overlay(tmp_path, {"01b/backfill.more.py": PRIVATE})
    overlaid = Overlay(folder, EXERCISES).apply(EXERCISE, "ada")
    assert _points(overlaid, edited("01b_backfill", LEARNT)) == 0
    lazy = "def backfill(latencies, period):\n    return np.array(sorted(range(77, 0, -20)))"
    assert _points(overlaid, edited("01b_backfill", lazy)) == 0 and _points(overlaid, solved()) == 3


def test_what_the_folder_does_not_name_is_graded_as_before(folder):
    other = named(EXERCISES, "01a_percentiles")
    assert Overlay(folder, EXERCISES).apply(other, "ada") is other


def test_every_student_has_a_seed_that_can_be_made_again(tmp_path):
    files = {f"{NAME}/backfill.py": SEEDED, "key": "k" * 20}
    first, again = (Overlay(_overlay(tmp_path / str(k), files), EXERCISES) for k in range(2))
    seeds = {student: first.seed(EXERCISE, student) for student in ("ada", "bob", "Zoë")}
    assert len(set(seeds.values())) == 3 and all(again.seed(EXERCISE, s) == n for s, n in seeds.items())
    other = Overlay(_overlay(tmp_path / "2", files | {"key": "l" * 20}), EXERCISES)
    assert other.seed(EXERCISE, "ada") != seeds["ada"]
    ada = first.apply(EXERCISE, "ada")
    assert f"_seed = {seeds['ada']}\n" in ada.graded_cells["01b_backfill_test"].source
    assert _points(ada, solved()) == 3


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "no EXERCISE/QUESTION.py"),
        ({"99z/x.py": PRIVATE}, "no exercise is called 99z"),
        ({"01b/filling.py": PRIVATE}, "no question filling (it has open_loop_latency"),
        ({"01b/backfill.py": "x = 1"}, "no assert"),
        ({"01b/backfill.py": "assert x,"}, "no readable Python"),
        ({"01b/backfill.py": PRIVATE + "1"}, "partial credit"),
        ({"01b/backfill.py": "### BEGIN HIDDEN TESTS\n" + PRIVATE}, "leave out"),
        ({"01b/backfill.py": PRIVATE, "01b/backfill.more.py": PRIVATE}, "two files"),
        ({"01b/backfill.py": SEEDED}, "must hold a secret"),
        ({"01b/backfill.py": SEEDED, "key": "short"}, "must hold a secret"),
    ],
)
def test_broken_folder_says_which_file_and_what(tmp_path, files, says):
    with pytest.raises(ExerciseError) as error:
        Overlay(_overlay(tmp_path, files), EXERCISES)
    assert says in str(error.value)


def test_the_folder_is_begun_with_the_present_tests_and_keeps_what_is_there(tmp_path, capsys):
    folder = tmp_path / "mine"
    assert main(["overlay", str(folder), "01b"]) == 0
    assert "wrote" in capsys.readouterr().out
    assert {path.name for path in (folder / NAME).iterdir()} == {f"{q.title}.py" for q in EXERCISE.questions}
    assert (folder / "key").stat().st_mode & 0o077 == 0
    overlaid = Overlay(folder, EXERCISES).apply(EXERCISE, "ada")
    assert {m.points == m.maximum for m in marks(overlaid, solved()).values()} == {True}
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert begin(folder, EXERCISE) == []
    assert {path: path.read_bytes() for path in before} == before
    assert main(["overlay", str(folder), "99z"]) == 1


def test_private_tests_never_reach_a_release(folder, tmp_path, capsys):
    public = EXERCISE.release_path.read_text()
    assert main(["generate", "--overlay", str(folder)]) == 1
    assert "never go into release/" in capsys.readouterr().err
    assert main(["generate", "--overlay", str(folder), "-o", str(COURSE / "mine")]) == 1
    assert not (COURSE / "mine").exists()
    with pytest.raises(ExerciseError, match="would be published"):
        Overlay(_overlay(COURSE / "source", {}), EXERCISES)
    assert main(["generate", "--overlay", str(folder), "-o", str(tmp_path / "course")]) == 0
    assert (tmp_path / "course/release" / NAME / f"{NAME}.ipynb").read_text() == public
    private = tmp_path / "course/source" / NAME / f"{NAME}.ipynb"
    assert "one long wait hides three" in private.read_text()
    (exercise,) = discover(tmp_path / "course")
    assert _points(exercise, edited("01b_backfill", LEARNT)) == 0, "a course of its own, for nbgrader"
    assert (tmp_path / "course/nbgrader_config.py").is_file() and EXERCISE.release_path.read_text() == public


def test_the_same_file_of_two_students_has_a_mark_for_each_seed(tmp_path):
    handed_in = tmp_path / "in"
    handed_in.mkdir()
    for student in ("ada", "bob"):
        (handed_in / f"{student}.ipynb").write_text(text(notebooks.read(EXERCISE.release_path)))
    overlay = Overlay(_overlay(tmp_path / "p", {f"{NAME}/backfill.py": SEEDED, "key": "k" * 20}), EXERCISES)
    seeds = []

    def stand_in(data, label, exercises, *, only, hidden, **_):
        exercise = named(exercises, NAME)
        seeds.append(overlay.seed(EXERCISE, label.removesuffix(".ipynb")))
        assert f"_seed = {seeds[-1]}\n" in exercise.graded_cells["01b_backfill_test"].source
        assert overlay.folder.resolve() in hidden, "no kernel may see the folder"
        return Report(label, NAME, [Mark(q.title, q.points, q.points) for q in exercise.questions if q.title in only])

    settings = Settings(jobs=1, overlay=overlay)
    runs = [
        grade_class(handed_in, tmp_path / "out", EXERCISES, settings, say=lambda _: None, grade=stand_in)
        for _ in range(2)
    ]
    assert [(run.marked, run.resumed) for run in runs] == [(2, 0), (0, 2)]
    assert len(set(seeds)) == 2


@pytest.mark.skipif(bool(sandbox.refused()), reason=f"no namespaces here: {sandbox.refused()}")
def test_the_command_grades_with_the_folder_of_the_environment_which_no_kernel_sees(folder, tmp_path, monkeypatch):
    spies = f"""
import os, pathlib
def backfill(latencies, period):
    assert not list(pathlib.Path({str(folder)!r}).rglob("*")), "the tests can be read"
    assert {VARIABLE!r} not in os.environ, "the folder is told"
    return np.concatenate([np.arange(x, 0, -period) for x in latencies])
"""
    handed_in = tmp_path / "in"
    handed_in.mkdir()
    (handed_in / "ada.ipynb").write_text(text(edited("01b_backfill", spies)))
    (handed_in / "bob.ipynb").write_text(text(copy.deepcopy(edited("01b_backfill", LEARNT))))
    monkeypatch.setenv(VARIABLE, str(folder))
    assert main(["grade", str(handed_in), "-o", str(tmp_path / "out")]) == 0
    rows = csv.DictReader((tmp_path / "out" / "questions.csv").open())
    points = {(row["student"], row["question"]): row["points"] for row in rows}
    assert points["ada", "backfill"] == "3.0" and points["bob", "backfill"] == "0.0"
