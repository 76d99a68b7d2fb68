"""A whole class, graded by the command with real kernels, and killed on the way."""

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from a_class import COURSE, EXERCISE, KINDS, hand_in, marked

SECONDS = 4  # CPU of a cell; sleeping five times as long ends, too
#: What is quick and needs a kernel, and the reasons that name a file.
QUICK = [
    kind
    for kind in KINDS
    if kind not in ("sleeps", "loops", "stub", "floods its output", "BOM", "upper case", "too large", "no test")
]


def _command(folder, marks):
    grade = ["grade", folder, "-o", marks, "--exercise", "01b", "--seconds", str(SECONDS)]
    return [sys.executable, "-m", "cvprod.exercises", *map(str, grade)]


def _course():
    return {path: path.read_bytes() for path in COURSE.rglob("*") if path.is_file() and "__pycache__" not in path.parts}


def _until(process, records, enough):
    """Let a run go on until so many marks are on the disk."""
    while process.poll() is None and len(list(records.glob("*.json"))) < enough:
        time.sleep(0.02)
    assert process.poll() is None, "it ended before it could be killed"


def _hears_ctrl_c():
    """Also where the tests run in the background of a shell, which has it ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _end(process, how):
    """What it said until it ended. Who presses Ctrl-C and sees nothing happen presses it again."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        process.send_signal(how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=3)[0]
    process.kill()
    raise AssertionError(f"it did not end: {process.communicate()[0]}")


def _grade_and_kill(tmp_path, count, kinds):
    """Grade ``count`` submissions in three runs, the first killed, the second interrupted.

    Returns the expected kinds and the seconds of all three together.
    """
    folder, marks = tmp_path / "in", tmp_path / "marks"
    records, course = marks / "records", _course()
    folder.mkdir()
    expected = hand_in(folder, count, kinds)
    handed_in = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    command, kept, spent = _command(folder, marks), {}, 0.0
    for share, how in ((0.25, signal.SIGKILL), (0.5, signal.SIGINT)):
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=_hears_ctrl_c)
        _until(process, records, int(share * count))
        said = _end(process, how)
        spent += time.monotonic() - began
        now = marked(records)
        assert kept.items() <= now.items(), "a mark was lost, or made again"
        kept = now
    assert "the same command goes on from here" in said
    began = time.monotonic()
    last = subprocess.run(command, capture_output=True, text=True)
    spent += time.monotonic() - began
    assert last.returncode == 1, f"some files have no mark, which the status must say\n{last.stderr}"
    assert kept.items() <= marked(records).items(), "a mark was lost, or made again"
    assert f"{len(kept)} marked already" in last.stdout
    assert _course() == course, "the course's files must be what they were"
    assert {path: path.read_bytes() for path in handed_in} == handed_in, "what was handed in is only read"
    return expected, spent


def _verify(tmp_path, expected):
    """Every file has the mark of its kind, or its reason; return the seconds that limits by the clock have cost."""
    rows = {row["file"]: row for row in csv.DictReader((tmp_path / "marks" / "marks.csv").open())}
    wrong, hung = [], 0.0
    for file, name in expected.items():
        kind, row = KINDS[name], rows[file]
        told = f"{row['why']} {row['look_at']}"
        points = float(row["points"]) if row["points"] else None
        if (row["status"], points) != (kind.status, kind.points) or kind.says not in told:
            wrong.append(f"{name}: {row['status']} {points} {told}")
    assert not wrong, "\n".join(wrong)
    assert all(row["status"] == "graded" or row["why"] for row in rows.values()), "a file without a mark or a reason"
    for record in marked(tmp_path / "marks" / "records").values():
        report = json.loads(record)["report"]
        if KINDS.get(expected.get(report["path"])) and KINDS[expected[report["path"]]].hangs:
            hung += report["seconds"]
    return hung


def test_one_of_every_kind_is_graded_or_named_although_the_run_is_killed_twice(tmp_path):
    expected, _ = _grade_and_kill(tmp_path, len(QUICK), QUICK)
    _verify(tmp_path, expected)
    page = (tmp_path / "marks" / "class.html").read_text()
    assert EXERCISE.name in page and "backfill" in page and "Without a mark" in page and "Look at these" in page


@pytest.mark.alone
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not os.environ.get("CVPROD_SLOW"), reason="takes minutes; CVPROD_SLOW=1 runs it")
def test_two_hundred_submissions_take_less_than_eight_minutes_beside_what_hangs(tmp_path, capsys):
    expected, spent = _grade_and_kill(tmp_path, 200, tuple(KINDS))
    hung = _verify(tmp_path, expected)
    net = spent - hung / 2  # two notebooks at a time
    with capsys.disabled():
        print(f"\n200 submissions: {spent:.0f} s in three runs, {hung / 2:.0f} s of them for those that hang")
    assert net < 480
