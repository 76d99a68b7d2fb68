"""A class graded with a stand-in for the kernel: what is found, kept, resumed, marked again and handed back."""

import copy
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from datetime import datetime
from pathlib import Path

import pytest

from cvprod.book import notebooks
from cvprod.exercises import batch, hand_back, runner
from cvprod.exercises.__main__ import main
from cvprod.exercises.batch import GRADED, NOT_GRADED, OLDER, OTHER, Settings, grade_class
from cvprod.exercises.course import COURSE, ExerciseError, discover, grade_id, named
from cvprod.exercises.grade import Mark, Report
from cvprod.exercises.records import Records
from cvprod.exercises.submissions import collect, read_people

EXERCISES = discover()
NAME = "01b_coordinated_omission"
EXERCISE = named(EXERCISES, NAME)
QUESTIONS = [question.title for question in EXERCISE.questions]

text = notebooks.nbformat.writes


def handed_in(points=10, name=NAME):
    """A notebook that asks the stand-in below for so many points."""
    notebook = copy.deepcopy(notebooks.read(named(EXERCISES, name).release_path))
    notebook.cells.append(notebooks.nbformat.v4.new_markdown_cell(f"points: {points}"))
    return text(notebook)


def stand_in(data, label, exercises, *, only, **_):
    """Marks a notebook by what it asks for, and only the questions that are wanted."""
    wanted = int(data.replace(b"\0", b"").decode("latin-1").rpartition("points: ")[2].split('"')[0].split("\\")[0])
    marks = []
    for question in EXERCISE.questions:
        given = min(question.points, wanted)
        wanted -= given
        if question.title in only:
            marks.append(Mark(question.title, given, question.points, "" if given == question.points else "wrong"))
    return Report(label, NAME, marks)


def graded(folder, tmp_path, grade=stand_in, people=None, **settings):
    said = []
    outcome = grade_class(
        folder, tmp_path / "marks", EXERCISES, Settings(**settings), people, say=said.append, grade=grade
    )
    return outcome, {row.submission.label: row for row in outcome.rows}, said


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def test_every_kind_of_file_has_a_mark_or_a_reason(folder, tmp_path):
    good = handed_in()
    (folder / "ada.ipynb").write_text(good)
    (folder / "bea.IPYNB").write_bytes(b"\xef\xbb\xbf" + good.encode())
    (folder / "cid.ipynb.txt").write_bytes(good.encode("utf-16"))
    (folder / "empty.ipynb").touch()
    (folder / "essay.pdf").write_bytes(b"%PDF")
    (folder / "huge.ipynb").write_bytes(b" " * (21 << 20))
    (folder / "broken.zip").write_bytes(b"PK\x03\x04")
    with zipfile.ZipFile(folder / "dan.ZIP", "w") as archive:
        archive.writestr("work/01b.ipynb", handed_in(9))
        archive.writestr("work/data.csv", "1")
        archive.writestr("__MACOSX/._01b.ipynb", "x")
    (folder / "ian.ipynb").write_text(handed_in(name="01a_percentiles"))
    (folder / ".ipynb_checkpoints").mkdir()
    (folder / ".ipynb_checkpoints" / "ada-checkpoint.ipynb").write_text(good)
    _, rows, _ = graded(folder, tmp_path, exercise="01b")
    assert {label: row.status for label, row in rows.items()} == {
        "ada.ipynb": GRADED,
        "bea.IPYNB": GRADED,
        "broken.zip": NOT_GRADED,
        "cid.ipynb.txt": GRADED,
        "dan.ZIP/work/01b.ipynb": GRADED,
        "dan.ZIP/work/data.csv": NOT_GRADED,
        "empty.ipynb": NOT_GRADED,
        "essay.pdf": NOT_GRADED,
        "huge.ipynb": NOT_GRADED,
        "ian.ipynb": OTHER,
    }
    assert all(row.why for row in rows.values() if row.status != GRADED)
    assert [rows[n].submission.student for n in ("bea.IPYNB", "cid.ipynb.txt", "dan.ZIP/work/01b.ipynb")] == [
        "bea",
        "cid",
        "dan",
    ]


@pytest.mark.parametrize(
    ("path", "student", "version"),
    [
        ("ada.ipynb", "ada", 0),
        ("ada_01b_coordinated_omission.ipynb", "ada", 0),
        ("01b-ada (2).ipynb", "ada", 2),
        ("Copy of ada.ipynb", "ada", 0),
        ("ada_v3.ipynb", "ada", 3),
        ("student-12.ipynb", "student-12", 0),
        ("ada/01b_coordinated_omission/work.ipynb", "ada", 0),
        ("01b/ada.ipynb", "ada", 0),
        ("lovelaceada_1234_56789_work-2.ipynb", "lovelaceada", 2),
        ("lovelaceada_LATE_1234_56789_work.ipynb", "lovelaceada", 0),
        ("Ada Lovelace_4711_assignsubmission_file_/work.ipynb", "Ada Lovelace_4711", 0),
        ("01b_coordinated_omission.ipynb", "(01b_coordinated_omission.ipynb)", 0),
    ],
)
def test_the_student_stands_in_the_path(folder, path, student, version):
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text("{}")
    (found,) = collect(folder, EXERCISES)
    assert (found.student, found.version) == (student, version)
    assert (found.moodle == "Participant 4711") == ("4711" in path)
    assert (found.canvas_id == "1234") == ("1234" in path)
    assert bool(found.notes) == ("LATE" in path or student.startswith("("))


def test_of_several_versions_the_latest_or_the_best_counts(folder, tmp_path):
    (folder / "ada.ipynb").write_text(handed_in(9))
    (folder / "ada (1).ipynb").write_text(handed_in(4))
    (folder / "ada (2).ipynb").write_text("lost on the way")
    _, rows, _ = graded(folder, tmp_path)
    assert [rows[n].status for n in ("ada.ipynb", "ada (1).ipynb", "ada (2).ipynb")] == [OLDER, GRADED, NOT_GRADED]
    outcome, rows, _ = graded(folder, tmp_path, keep="best")
    assert [row.submission.label for row in outcome.rows if row.counts] == ["ada.ipynb"]
    assert (outcome.marked, outcome.resumed) == (1, 1), "the other one has its mark already"
    assert "as many points or more" in rows["ada (1).ipynb"].why


def test_mapping_file_names_students_times_and_the_absent(folder, tmp_path):
    (folder / "a.ipynb").write_text(handed_in(9))
    (folder / "b.ipynb").write_text(handed_in(8))
    (tmp_path / "who.csv").write_text(
        "student,file,name,email,canvas_id,handed_in\n"
        "s1,a.ipynb,=Ada,ada@example.org,77,2026-03-02T00:00\ns2,b.ipynb,Bea,,,2026-03-04T12:00\ns3,,Cid,,,\n"
    )
    people = read_people(tmp_path / "who.csv")
    outcome, _, _ = graded(folder, tmp_path, people=people, due=datetime(2026, 3, 1, 23, 59))
    hand_back.write_all(tmp_path / "marks", outcome, EXERCISES, people)
    rows = {r["student"]: r for r in csv.DictReader((tmp_path / "marks" / "marks.csv").open())}
    assert [(rows[s]["points"], rows[s]["late_days"], rows[s]["status"]) for s in ("s1", "s2", "s3")] == [
        ("9.0", "1", GRADED),
        ("8.0", "3", GRADED),
        ("", "0", "nothing handed in"),
    ]
    canvas = list(csv.reader((tmp_path / "marks" / "canvas.csv").open()))
    assert canvas[0] == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", NAME]
    assert canvas[1][0].strip() == "Points Possible" and canvas[1][-1] == "10.0"
    assert canvas[2][:2] == ["'=Ada", "77"], "no spreadsheet runs a student's name"
    moodle = list(csv.DictReader((tmp_path / "marks" / "moodle.csv").open()))
    assert moodle[0]["Email address"] == "ada@example.org" and moodle[0][NAME] == "9.0"


@pytest.mark.parametrize(
    "bad", ["name\nx\n", "student,file\n,a\n", "student,file\na,f\nb,f\n", "student,handed_in\na,x\n"]
)
def test_broken_mapping_file_says_where(tmp_path, bad):
    (tmp_path / "who.csv").write_text(bad)
    with pytest.raises(ExerciseError, match=r"who\.csv"):
        read_people(tmp_path / "who.csv")


DRIVER = """
import sys, time
from pathlib import Path
sys.path.insert(0, str(Path({here!r})))
import test_class as t
from cvprod.exercises.batch import Settings, grade_class

def slow(data, label, exercises, *, stop, **rest):
    with open({log!r}, "a") as log:
        log.write(label + chr(10))
    until = time.monotonic() + 0.2
    while time.monotonic() < until:
        if stop.is_set():
            raise t.batch.Interrupted
        time.sleep(0.01)
    return t.stand_in(data, label, exercises, **rest)

o = grade_class(Path({folder!r}), Path({marks!r}), t.EXERCISES, Settings(), say=print, grade=slow)
print("complete", o.complete, o.marked, o.resumed)
"""


def test_killed_and_interrupted_on_the_way_nothing_is_lost_or_redone(folder, tmp_path):
    names = [f"s{i:02d}.ipynb" for i in range(12)]
    for i, name in enumerate(names):
        (folder / name).write_text(handed_in(i % 11) + " " * i)
    log, records = tmp_path / "log", tmp_path / "marks" / "records"
    driver = DRIVER.format(
        here=str(Path(__file__).parent), log=str(log), folder=str(folder), marks=str(tmp_path / "marks")
    )
    course = {path: path.read_bytes() for path in COURSE.rglob("*.ipynb")}
    kept = lambda: {json.loads(p.read_text())["report"]["path"] for p in records.glob("*.json")}  # noqa: E731
    begun = lambda: log.read_text().splitlines() if log.exists() else []  # noqa: E731

    marked, before = set(), 0
    for enough, how in ((3, signal.SIGKILL), (7, signal.SIGINT)):
        process = subprocess.Popen([sys.executable, "-c", driver], stdout=subprocess.PIPE, text=True)
        while len(begun()) < enough and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(how)
        said = process.communicate(timeout=120)[0]
        assert not marked & set(begun()[before:]), "what has its mark is not begun again"
        marked, before = kept(), len(begun())
        assert 0 < len(marked) < len(names)
    assert "the same command goes on from here" in said

    last = subprocess.run([sys.executable, "-c", driver], capture_output=True, text=True, timeout=120)
    assert "complete True" in last.stdout, last.stdout + last.stderr
    assert sorted(begun()[before:]) == sorted(set(names) - marked), "the rest, and each once"
    assert kept() == set(names)
    points = {r["report"]["path"]: sum(m["points"] for m in r["report"]["marks"])
              for r in map(lambda p: json.loads(p.read_text()), records.glob("*.json"))}  # fmt: skip
    assert points == {name: i % 11 for i, name in enumerate(names)}
    assert {path: path.read_bytes() for path in course} == course


def test_again_marks_again_and_lists_what_changed(folder, tmp_path):
    (folder / "ada.ipynb").write_text(handed_in(10))
    (folder / "bea.ipynb").write_text(handed_in(4))
    graded(folder, tmp_path)
    outcome, _, _ = graded(folder, tmp_path)
    assert (outcome.marked, outcome.resumed, outcome.changes) == (0, 2, [])

    asked = []

    def stricter(data, label, exercises, *, only, **rest):
        asked.append(set(only))
        report = stand_in(data, label, exercises, only=set(QUESTIONS))
        report.marks = [Mark(m.question, 0, m.maximum, "now wrong") for m in report.marks]
        return report

    outcome, rows, _ = graded(folder, tmp_path, stricter, again=True, question="01b_backfill")
    assert asked == [{"backfill"}] * 2
    assert [(row.submission.student, c.question, c.before, c.after) for row, c in outcome.changes] == [
        ("ada", "backfill", 3, 0)
    ]
    assert rows["ada.ipynb"].report.points == 7, "the other questions keep their marks"
    assert "changed mark of ada: backfill 3 -> 0" in batch.summary(outcome)
    table = hand_back.changes_table(outcome.rows)
    assert table[1][:5] == ["ada", NAME, "backfill", 3, 0]


def test_a_changed_question_is_marked_again_by_itself(folder, tmp_path, monkeypatch):
    (folder / "ada.ipynb").write_text(handed_in(10))
    graded(folder, tmp_path)
    monkeypatch.setitem(EXERCISE.graded_cells["01b_backfill_test"], "source", "# another test")
    asked = []

    def asks(*arguments, only, **rest):
        asked.append(set(only))
        return stand_in(*arguments, only=only)

    graded(folder, tmp_path, asks)
    graded(folder, tmp_path, asks)
    assert asked == [{"backfill"}]


def test_grader_that_fails_is_no_mark_and_is_tried_again(folder, tmp_path):
    (folder / "ada.ipynb").write_text(handed_in(10))
    (folder / "bea.ipynb").write_text(handed_in(4))

    def fails(data, label, *rest, **named):
        if label.startswith("ada"):
            return Report(label, error=f"{label}: could not be graded (OSError: no room)")
        return stand_in(data, label, *rest, **named)

    outcome, rows, _ = graded(folder, tmp_path, fails)
    assert rows["ada.ipynb"].status == NOT_GRADED and "no room" in rows["ada.ipynb"].why and not outcome.complete
    outcome, rows, _ = graded(folder, tmp_path)
    assert (outcome.marked, outcome.complete) == (1, True)


def test_damaged_record_is_made_again_and_named(folder, tmp_path):
    (folder / "ada.ipynb").write_text(handed_in(10))
    graded(folder, tmp_path)
    (record,) = (tmp_path / "marks" / "records").glob("*.json")
    record.write_text(record.read_text()[:50])
    outcome, rows, _ = graded(folder, tmp_path)
    assert outcome.marked == 1 and rows["ada.ipynb"].report.points == 10
    assert any("damaged" in note for note in outcome.notes)


def test_two_runs_do_not_share_a_folder(folder, tmp_path):
    if os.name != "posix":
        pytest.skip("no such locks on Windows")
    (folder / "ada.ipynb").write_text(handed_in())
    with Records(tmp_path / "marks").alone(), pytest.raises(ExerciseError, match="another run"):
        graded(folder, tmp_path)
    with pytest.raises(ExerciseError, match="must not lie in the folder"):
        grade_class(folder, folder / "marks", EXERCISES, Settings(), say=str, grade=stand_in)


def test_same_answers_are_named_and_stubs_are_not(folder, tmp_path):
    notebook = notebooks.read(EXERCISE.release_path)
    for name in ("ada", "bea"):
        (folder / f"{name}.ipynb").write_text(handed_in(0 if name == "ada" else 1))
    assert not [note for note in graded(folder, tmp_path)[0].notes if "same answers" in note]
    for name in ("cid", "dan"):
        for cell in notebook.cells:
            if grade_id(cell) and not grade_id(cell).endswith("_test"):
                cell.source = f"# grade_id: {grade_id(cell)}\ndef f():  # {name}\n    return 1"
        (folder / f"{name}.ipynb").write_text(text(notebook))
    (tmp_path / "marks" / "records").rename(tmp_path / "old")
    zero = lambda data, label, *_, **__: Report(label, NAME, [Mark("backfill", 0, 3)])  # noqa: E731
    outcome, _, _ = graded(folder, tmp_path, zero)
    assert [note for note in outcome.notes if "same answers" in note] == [f"{NAME}: the same answers from cid, dan"]


def test_students_read_the_courses_words_and_nothing_that_was_hidden():
    test = EXERCISE.graded_cells["01b_backfill_test"].source
    own = next(said for said, _ in hand_back._messages(test))
    page = lambda reason, where: hand_back.told(Mark("backfill", 0, 3, reason, where), EXERCISE)  # noqa: E731
    assert own in page(f"AssertionError: {own}", "hidden")
    for secret in (
        "AssertionError: [1, 2, 3]",
        "ValueError: [1, 2, 3]",
        "not answered [1, 2, 3]",
        "Stopped: [1, 2, 3]",
    ):
        assert "[1, 2, 3]" not in page(secret, "hidden") + page(f"answer cell: {secret}", "answer")
    assert "do not see" in page("AssertionError", "hidden") and "you see" in page("AssertionError", "visible")
    assert page("not answered", "answer") == "not answered"


def test_class_page_begins_with_the_hardest_question(folder, tmp_path):
    for i, points in enumerate((10, 7, 7, 4)):
        (folder / f"s{i}.ipynb").write_text(handed_in(points))
    outcome, _, _ = graded(folder, tmp_path)
    page = hand_back.class_page([r for r in outcome.rows if r.counts], outcome, EXERCISES)
    assert "4 notebooks, 7.0 points" in page
    assert page.index("highest_rate") < page.index("backfill") < page.index("open_loop_latency")
    assert "3 x wrong" in page


@pytest.mark.parametrize("isolated", [True, False])
def test_an_author_who_edits_the_course_meanwhile_loses_nothing(folder, tmp_path, monkeypatch, isolated):
    """A new file is the author's where notebooks cannot write; elsewhere it is put aside, never thrown away."""
    course = tmp_path / "course"
    shutil.copytree(EXERCISE.source_path.parent, course / "source" / NAME)
    (folder / "ada.ipynb").write_text(handed_in())
    monkeypatch.setattr(batch, "refused", lambda: "" if isolated else "this is a test")

    def edits(*arguments, **named):
        (course / "source" / "new.txt").write_text("an evening's work")
        return stand_in(*arguments, only=named["only"])

    exercises = discover(course)
    outcome = grade_class(folder, tmp_path / "marks", exercises, Settings(course=course), say=str, grade=edits)
    kept = course / "source" if isolated else tmp_path / "marks" / "put-aside" / "course" / "source"
    assert (kept / "new.txt").read_text() == "an evening's work"
    assert any("edited meanwhile" in note for note in outcome.notes) == isolated
    assert any("new.txt" in flag for flag in outcome.rows[0].report.flags) != isolated


def test_kernels_of_a_killed_grader_are_ended_and_those_of_a_living_one_are_not(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "_folders", lambda: tmp_path)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    asleep = {}
    for name, owner in (("left", dead.pid), ("running", os.getpid())):
        (tmp_path / name).mkdir()
        (tmp_path / name / "owner").write_text(str(owner))
        environment = {**os.environ, "IPYTHONDIR": str(tmp_path / name / ".ipython")}
        asleep[name] = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], env=environment)
    try:
        assert runner.sweep() == 1
        assert asleep["left"].wait(timeout=30) == -signal.SIGKILL
        assert asleep["running"].poll() is None and [p.name for p in tmp_path.iterdir()] == ["running"]
    finally:
        for process in asleep.values():
            process.kill()


def test_folder_is_restored_to_where_nbgrader_looks(folder, tmp_path, capsys):
    damaged = copy.deepcopy(notebooks.read(EXERCISE.release_path))
    for cell in damaged.cells:
        cell.metadata = {}
    (folder / "ada.ipynb").write_text(text(damaged))
    (folder / "ada (1).ipynb").write_text(handed_in(3))
    (folder / "bea.ipynb").write_text("lost")
    place = tmp_path / "submitted"
    assert main(["restore", str(folder), "-o", str(place)]) == 1
    assert [str(p.relative_to(place)) for p in place.rglob("*.ipynb")] == [f"ada/{NAME}/{NAME}.ipynb"]
    written = notebooks.read(place / "ada" / NAME / f"{NAME}.ipynb")
    assert "points: 3" in written.cells[-1].source, "the later version"
    assert sum("nbgrader" in cell.metadata for cell in written.cells) == 2 * len(QUESTIONS)
    told = capsys.readouterr()
    assert "1 notebooks written, 1 files" in told.out and "bea.ipynb" in told.err
    assert main(["restore", str(folder)]) == 1 and "-o exercises/submitted" in capsys.readouterr().err
