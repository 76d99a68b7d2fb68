"""What leaves the grader: tables for a learning platform, a page for each student, a page about the class."""

from __future__ import annotations

import ast
import csv
import html
import io
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from cvprod.exercises.batch import GRADED, Outcome, Row
from cvprod.exercises.course import Exercise, named
from cvprod.exercises.grade import Mark
from cvprod.exercises.submissions import Person, file_name
from cvprod.files import write_atomic

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem;
color-scheme: light dark }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; padding: .3rem .6rem; vertical-align: top;
border-bottom: 1px solid #8886 } td.n { text-align: right; white-space: nowrap }
"""
# What the runner says of a cell, and nobody's code can write.
_OWN_WORDS = re.compile(
    r"not answered|stopped at the limit of [\d.e+]+ s: an endless loop, or far too slow|"
    r"stopped at the memory limit of [\d.e+]+ MiB|(stopped|not run): the notebook's [\d.e+]+ s were used up|"
    r"the kernel died in this cell \(os\._exit or out of memory, here or by an earlier cell\)|"
    r"the notebook changed how the test was run"
)
_WHERE = {
    "answer": "running your own cell",
    "visible": "a test that you see",
    "hidden": "a test that you do not see",
    "": "its test",
}


def write_all(output: Path, outcome: Outcome, exercises: list[Exercise], people: list[Person]) -> list[Path]:
    """Write every table and page into `output`; return their paths. Each is whole or as it was before."""
    counted = [row for row in outcome.rows if row.counts]
    tables = {
        "marks.csv": marks_table(outcome.rows, people),
        "questions.csv": questions_table(counted),
        "canvas.csv": canvas_table(counted, exercises, people),
        "moodle.csv": moodle_table(counted, exercises, people),
        "changes.csv": changes_table(outcome.rows),
        "likeness.csv": likeness_table(outcome),
    }
    output.mkdir(parents=True, exist_ok=True)
    written = []
    for name, table in tables.items():
        written.append(_write(output / name, to_csv(table)))
    written.append(_write(output / "class.html", class_page(counted, outcome, exercises)))
    (output / "feedback").mkdir(exist_ok=True)
    for row in counted:
        if row.status == GRADED:
            name = f"{file_name(row.submission.student)}-{row.exercise}.html"
            written.append(_write(output / "feedback" / name, student_page(row, named(exercises, row.exercise))))
    return written


def _write(path: Path, text: str) -> Path:
    write_atomic(path, text.encode("utf-8", "backslashreplace"))
    return path


def to_csv(table: list[list]) -> str:
    """CSV text. A text that a spreadsheet would run as a formula gets an apostrophe in front."""
    out = io.StringIO()
    rows = [[f"'{c}" if isinstance(c, str) and c[:1] in "=+-@\t\r" and c else c for c in row] for row in table]
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def marks_table(rows: list[Row], people: list[Person]) -> list[list]:
    """One line for each file, and one for each student of the mapping file who handed in nothing."""
    head = ["student", "exercise", "points", "maximum", "late_days", "status", "counts", "why", "look_at"]
    head += ["handed_in", "file", "digest"]
    table = [head]
    for row in sorted(rows, key=lambda row: (row.submission.student, row.exercise, row.submission.order)):
        one, report = row.submission, row.report if row.status == GRADED or not row.counts else None
        points = [report.points, report.maximum] if report and not report.error else ["", ""]
        when = one.handed_in.isoformat(sep=" ", timespec="minutes") if one.handed_in else ""
        flags = "; ".join([*(report.flags if report else ()), *one.notes])
        yes = "yes" if row.counts else "no"
        digest = one.digest if one.data else ""
        table.append([one.student, row.exercise, *points, row.late_days, row.status, yes, row.why, flags])
        table[-1] += [when, one.label, digest]
    there = {row.submission.student for row in rows}
    missing = dict.fromkeys(person.student for person in people if person.student not in there)
    return table + [[person, "", "", "", 0, "nothing handed in", "no", "", "", "", "", ""] for person in missing]


def questions_table(rows: list[Row]) -> list[list]:
    """One line for each question of each counted notebook."""
    table = [["student", "exercise", "question", "points", "maximum", "reason", "where"]]
    for row in rows:
        for mark in row.report.marks if row.status == GRADED else ():
            table.append([row.submission.student, row.exercise, mark.question, mark.points, mark.maximum])
            table[-1] += [mark.reason, mark.where]
    return table


def changes_table(rows: list[Row]) -> list[list]:
    """Every mark that ever became another one, by this course or by an earlier text of it."""
    table = [["student", "exercise", "question", "before", "after", "reason", "course_digest", "file"]]
    for row in rows:
        for change in row.record.changes if row.record else ():
            table.append([row.submission.student, row.exercise, change.question, change.before, change.after])
            table[-1] += [change.reason, change.course[:16], row.submission.label]
    return table


def likeness_table(outcome: Outcome) -> list[list]:
    """Pairs of students whose answers have much in common that others do not have; the most alike first."""
    table = [["exercise", "student", "other", "alike_percent", "fragments"]]
    for exercise, pairs in outcome.pairs.items():
        table += [[exercise, pair.first, pair.second, round(100 * pair.share), pair.fragments] for pair in pairs]
    return table


def _points(rows: list[Row]) -> dict[str, dict[str, float]]:
    """Student -> exercise -> points, of what counts and was graded."""
    points: dict[str, dict[str, float]] = defaultdict(dict)
    for row in rows:
        if row.status == GRADED:
            points[row.submission.student][row.exercise] = row.report.points
    return points


def _maxima(rows: list[Row], exercises: list[Exercise]) -> dict[str, float]:
    """Exercise -> its points, of those that were handed in."""
    handed_in = {row.exercise for row in rows if row.status == GRADED}
    return {e.name: sum(q.points for q in e.questions) for e in exercises if e.name in handed_in}


def canvas_table(rows: list[Row], exercises: list[Exercise], people: list[Person]) -> list[list]:
    """Canvas' gradebook import: its five columns, then the exercises; the second line has the points possible."""
    points, maxima, known = _points(rows), _maxima(rows, exercises), _known(people)
    ids = {row.submission.student: row.submission.canvas_id for row in rows}
    table = [["Student", "ID", "SIS User ID", "SIS Login ID", "Section", *maxima]]
    table.append(["    Points Possible", "", "", "", "", *maxima.values()])
    for student in sorted(points):
        person = known.get(student, Person(student))
        table.append([person.name or student, person.canvas_id or ids[student], person.id_number])
        table[-1] += [person.login, person.section, *(points[student].get(name, "") for name in maxima)]
    return table


def moodle_table(rows: list[Row], exercises: list[Exercise], people: list[Person]) -> list[list]:
    """Moodle's grade import from CSV: three columns to know a student by, then the exercises."""
    points, maxima, known = _points(rows), _maxima(rows, exercises), _known(people)
    participant = {row.submission.student: row.submission.moodle for row in rows}
    table = [["Identifier", "Username", "ID number", "Email address", *maxima]]
    for student in sorted(points):
        person = known.get(student, Person(student))
        table.append([participant[student], person.login or student, person.id_number, person.email])
        table[-1] += [points[student].get(name, "") for name in maxima]
    return table


def _known(people: list[Person]) -> dict[str, Person]:
    known: dict[str, Person] = {}
    for person in people:
        known.setdefault(person.student, person)
    return known


def told(mark: Mark, exercise: Exercise) -> str:
    """What a student may read about a lost mark: the course's own words, never a hidden input or a value.

    An assert's message is the course's if it stands in the test cell; of an f-string the fixed words are kept. Of any
    other error only the kind is told, for a student's code can put into its message what a hidden test handed over.
    """
    if mark.points == mark.maximum:
        return ""
    if _OWN_WORDS.fullmatch(mark.reason):
        return mark.reason
    kind, _, message = mark.reason.removeprefix("answer cell: ").partition(": ")
    place = _WHERE[mark.where]
    test = exercise.graded_cells[f"{exercise.prefix}_{mark.question}_test"].source
    for said, pattern in _messages(test) if mark.where != "answer" else ():
        if kind == "AssertionError" and re.match(pattern, message, re.DOTALL):
            return f"{place} says: {said}"
    return f"{place} failed" + (f" ({kind})" if re.fullmatch(r"\w+", kind) and kind != "AssertionError" else "")


def _messages(test: str) -> Iterable[tuple[str, str]]:
    """The messages of a cell's asserts: as they may be shown, and as a pattern."""
    for node in ast.walk(ast.parse(test)):
        if not isinstance(node, ast.Assert) or node.msg is None:
            continue
        if isinstance(node.msg, ast.Constant) and isinstance(node.msg.value, str):
            yield node.msg.value, re.escape(node.msg.value.split("\n")[0][:200]) + r"\s*$"
        elif isinstance(node.msg, ast.JoinedStr):
            words = [v.value if isinstance(v, ast.Constant) else None for v in node.msg.values]
            if any(word and word.strip(" :,") for word in words):
                yield (
                    "".join(word if word is not None else "..." for word in words),
                    "".join(re.escape(word) if word is not None else ".*" for word in words),
                )


def _page(title: str, body: str) -> str:
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>\n'
        f"<style>{_STYLE}</style></head><body>\n<h1>{html.escape(title)}</h1>\n{body}\n</body></html>\n"
    )


def _table(head: list[str], rows: list[list]) -> str:
    def cell(value) -> str:
        number = isinstance(value, (int, float))
        text = f"{value:g}" if number else str(value)
        return f'<td class="n">{text}</td>' if number else f"<td>{html.escape(text)}</td>"

    lines = ["".join(map(cell, row)) for row in rows]
    top = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    return f"<table><tr>{top}</tr>\n" + "\n".join(f"<tr>{line}</tr>" for line in lines) + "\n</table>"


def _count(notebooks: int) -> str:
    return f"{notebooks} notebook{'s' * (notebooks != 1)}"


def student_page(row: Row, exercise: Exercise) -> str:
    """One student's page: points by question and where they were lost, without a word of the hidden tests."""
    report = row.report
    rows = [[mark.question, mark.points, mark.maximum, told(mark, exercise)] for mark in report.marks]
    late = f"<p>Handed in {row.late_days} day{'s' * (row.late_days != 1)} late.</p>" if row.late_days else ""
    body = f"<p>{report.points:g} of {report.maximum:g} points, for the file {html.escape(row.submission.label)}.</p>"
    return _page(
        f"Exercise {exercise.name}: {row.submission.student}",
        body + late + _table(["question", "points", "of", "what happened"], rows),
    )


def class_page(rows: list[Row], outcome: Outcome, exercises: list[Exercise]) -> str:
    """Where the class went wrong: each question's mean and most frequent reasons, the hardest question first."""
    parts = []
    for exercise in exercises:
        graded = [row for row in rows if row.exercise == exercise.name and row.status == GRADED]
        if not graded:
            continue
        by_question: dict[str, list[Mark]] = defaultdict(list)
        for row in graded:
            for mark in row.report.marks:
                by_question[mark.question].append(mark)
        lines = []
        for question, marks in by_question.items():
            share = 100 * sum(m.points for m in marks) / sum(m.maximum for m in marks)
            lost = Counter(m.reason for m in marks if m.points < m.maximum)
            why = "; ".join(f"{count} x {reason}" for reason, count in lost.most_common(4))
            lines.append([question, round(share), sum(lost.values()), why])
        mean = sum(row.report.points for row in graded) / len(graded)
        parts.append(f"<h2>{exercise.name}</h2><p>{_count(len(graded))}, {mean:.1f} points on average.</p>")
        head = ["question", "mean, %", "not full", "most frequent reasons"]
        parts.append(_table(head, sorted(lines, key=lambda line: line[1])))
    rest = [[r.submission.label, r.status, r.why] for r in outcome.rows if r.status != GRADED]
    if rest:
        parts.append("<h2>Without a mark</h2>" + _table(["file", "status", "why"], rest))
    flagged = [[r.submission.label, flag] for r in rows if r.report for flag in r.report.flags]
    if flagged:
        parts.append("<h2>Look at these yourself</h2>" + _table(["file", "what"], flagged))
    if outcome.pairs:
        head, *alike = likeness_table(outcome)
        parts.append("<h2>Alike</h2><p>More than chance explains, which is a reason to look and no verdict.</p>")
        parts.append(_table([name.replace("_percent", ", %") for name in head], alike))
    if outcome.notes:
        parts.append("<h2>Notes</h2>" + _table(["what"], [[note] for note in outcome.notes]))
    return _page("The class", "\n".join(parts) or "<p>Nothing was graded yet.</p>")
