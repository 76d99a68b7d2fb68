"""What lies in a folder of submissions: whose it is, which version, and what is no notebook."""

from __future__ import annotations

import csv
import hashlib
import io
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from cvprod.exercises.course import Exercise, ExerciseError

MAX_BYTES, MAX_MEMBERS = 20 << 20, 500  # of a notebook; in a zip archive
_ENDINGS = (".ipynb", ".ipynb.txt", ".ipynb.json", ".json")
_LITTER = {"__macosx", ".ds_store", "thumbs.db", "desktop.ini", ".ipynb_checkpoints"}
_CANVAS = re.compile(r"(?P<student>[^_]+)_(?P<late>LATE_)?(?P<id>\d+)_(?P<file>\d+)_(?P<rest>.+)", re.IGNORECASE)
_MOODLE = re.compile(r"(?P<student>.+_(?P<id>\d+))_assignsubmission_file_?", re.IGNORECASE)
_VERSION = re.compile(r"(?:\s*\((?P<a>\d+)\)|[ _-]+v(?P<b>\d+)|[ _-]+(?:copy|restored))$", re.IGNORECASE)
_CANVAS_VERSION = re.compile(r"-(\d{1,2})$")
_COLUMNS = ("student", "file", "name", "email", "id_number", "canvas_id", "login", "section", "handed_in")


@dataclass(frozen=True)
class Submission:
    """One file that was handed in. ``problem`` says why it cannot be graded; then ``data`` is empty."""

    label: str  # path below the folder, with the member of an archive behind it
    student: str
    data: bytes = b""
    handed_in: datetime | None = None  # local time
    told_time: bool = False  # the time comes from the mapping file, not from the file system
    version: int = 0
    problem: str = ""
    notes: tuple[str, ...] = ()
    moodle: str = ""  # Moodle's "Participant 123"
    canvas_id: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 of the file's bytes, as hex."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def order(self) -> tuple:
        """Sorts the versions of one student's notebook: by the time that was told, by number, by the file's time."""
        told = self.handed_in.timestamp() if self.told_time and self.handed_in else 0.0
        return told, self.version, self.handed_in.timestamp() if self.handed_in else 0.0, self.label


@dataclass(frozen=True)
class Person:
    """A row of the mapping file."""

    student: str
    file: str = ""
    name: str = ""
    email: str = ""
    id_number: str = ""
    canvas_id: str = ""
    login: str = ""
    section: str = ""
    handed_in: str = ""


def collect(path: Path, exercises: list[Exercise], people: list[Person] | None = None) -> list[Submission]:
    """Everything that was handed in below `path`, a folder, an archive or one file; nothing is left out silently.

    Raises ExerciseError if there is nothing at all.
    """
    if path.is_file() and path.suffix.lower() != ".zip":
        found = list(_file(path, PurePosixPath(path.name), exercises))
    elif path.is_file():
        found = list(_archive(path.read_bytes(), path, PurePosixPath(), exercises))
    elif path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.is_file() and not _is_litter(p.relative_to(path).parts))
        found = [one for file in files for one in _file(file, PurePosixPath(*file.relative_to(path).parts), exercises)]
    else:
        found = []
    if not found:
        raise ExerciseError(f"{path}: no notebook there; name an .ipynb file or a folder that holds some")
    return [_mapped(one, people or []) for one in found]


def local_time(text: str) -> datetime:
    """An ISO 8601 time as local time without a zone, like a file's. Raises ValueError."""
    when = datetime.fromisoformat(text)
    return when.astimezone().replace(tzinfo=None) if when.tzinfo else when


def file_name(student: str) -> str:
    """A student's name as that of a file or folder: unlike any other's, and no path."""
    return quote(student, safe=" ()@")


def read_people(path: Path) -> list[Person]:
    """The mapping file: CSV with a column `student` and any of file, name, email, id_number, canvas_id, login, section,
    handed_in (ISO 8601). Raises ExerciseError that says which line is wrong.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"))))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ExerciseError(f"{path}: no readable CSV file ({error})") from None
    if not rows or "student" not in rows[0]:
        raise ExerciseError(f"{path}: needs a first line with the column student; it may have {', '.join(_COLUMNS)}")
    people, files = [], set()
    for line, row in enumerate(rows, 2):
        person = Person(**{name: (row.get(name) or "").strip() for name in _COLUMNS})
        if not person.student:
            raise ExerciseError(f"{path}, line {line}: no student")
        if person.file and person.file in files:
            raise ExerciseError(f"{path}, line {line}: {person.file} is there twice")
        if person.handed_in:
            try:
                local_time(person.handed_in)
            except ValueError:
                raise ExerciseError(f"{path}, line {line}: handed_in {person.handed_in!r} is no ISO time") from None
        files.add(person.file)
        people.append(person)
    return people


def _is_litter(parts: tuple[str, ...]) -> bool:
    return any(part.lower() in _LITTER or part.startswith("._") for part in parts)


def _file(path: Path, place: PurePosixPath, exercises: list[Exercise]) -> Iterator[Submission]:
    try:
        status = path.stat()
        when = datetime.fromtimestamp(status.st_mtime)
        if path.suffix.lower() == ".zip" and status.st_size <= 10 * MAX_BYTES:
            yield from _archive(path.read_bytes(), path, place, exercises)
            return
        data = path.read_bytes() if status.st_size <= MAX_BYTES else None
    except OSError as error:
        yield Submission(str(place), _whose(place, exercises)[0], problem=f"cannot be read ({error.strerror})")
        return
    yield _one(data, place, place, exercises, when)


def _archive(data: bytes, path: Path, place: PurePosixPath, exercises: list[Exercise]) -> Iterator[Submission]:
    """The members of a zip archive; one that lies in the folder is one student's, like a folder of that name."""
    when = datetime.fromtimestamp(path.stat().st_mtime)
    student = _whose(place, exercises)[0] if place.parts else ""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [m for m in archive.infolist() if not m.is_dir()]
            members = [m for m in members if not _is_litter(PurePosixPath(m.filename).parts)]
            if not members or len(members) > MAX_MEMBERS:
                why = "an empty archive" if not members else f"an archive of {len(members)} files; send the notebook"
                yield Submission(str(place), student, problem=why, handed_in=when)
                return
            for member in members:
                inside = PurePosixPath(member.filename.replace("\\", "/"))
                whose = place if place.parts else inside
                content = archive.read(member) if member.file_size <= MAX_BYTES else None
                yield _one(content, place / str(inside).lstrip("/"), whose, exercises, when)
    except Exception as error:  # broken, encrypted, or a member that is not what its entry says
        why = f"a zip archive that cannot be opened ({error}); send the notebook itself"
        yield Submission(str(place), student, problem=why, handed_in=when)


def _one(
    data: bytes | None, label: PurePosixPath, whose: PurePosixPath, exercises: list[Exercise], when: datetime
) -> Submission:
    student, version, marks = _whose(whose, exercises)
    if not student:
        student, marks = f"({label})", {**marks, "notes": ("no student in the file's name; name one with --students",)}
    one = Submission(str(label), student, data or b"", when, version=version, **marks)
    if data is None:
        return replace(one, problem=f"larger than {MAX_BYTES >> 20} MiB; clear its outputs and send it again")
    if label.name.lower().endswith(_ENDINGS):
        return one
    ending = "".join(label.suffixes[-1:]) or "no ending"
    return replace(one, data=b"", problem=f"not a notebook ({ending}); send the .ipynb file")


def _whose(place: PurePosixPath, exercises: list[Exercise]) -> tuple[str, int, dict]:
    """Student, version and what a learning platform wrote into the path; the student is "" where it names none."""
    names = {name.lower() for exercise in exercises for name in (exercise.name, exercise.prefix)}
    parts = [part for part in place.parts[:-1] if part.lower() not in names]
    stem = place.name
    for ending in (*_ENDINGS, ".zip", PurePosixPath(stem).suffix):
        if ending and stem.lower().endswith(ending.lower()):
            stem = stem[: -len(ending)]
            break
    canvas = _CANVAS.fullmatch(stem)
    if canvas and not parts:
        number = _CANVAS_VERSION.search(canvas["rest"])
        notes = ("Canvas marks it as late",) if canvas["late"] else ()
        return canvas["student"], int(number[1]) if number else 0, {"canvas_id": canvas["id"], "notes": notes}
    stem, version = _without_version(stem)
    if parts:
        moodle = _MOODLE.fullmatch(parts[0])
        if moodle:
            return moodle["student"], version, {"moodle": f"Participant {moodle['id']}"}
        return parts[0], version, {}
    for name in sorted(names, key=len, reverse=True):
        stem = re.sub(rf"(?:^|(?<=[ _-])){re.escape(name)}(?=$|[ _-])", "", stem, flags=re.IGNORECASE)
    stem, after = _without_version(stem)
    return (
        re.sub(r"^(?:copy of|kopie von)\b", "", stem.strip(" _-"), flags=re.IGNORECASE).strip(" _-"),
        max(version, after),
        {},
    )


def _without_version(stem: str) -> tuple[str, int]:
    version = 0
    while match := _VERSION.search(stem):
        version = max(version, int(match["a"] or match["b"] or 0))
        stem = stem[: match.start()]
    return stem, version


def _mapped(one: Submission, people: list[Person]) -> Submission:
    """With what the mapping file says of this file, or of its student."""
    path = PurePosixPath(one.label)
    keys = (one.label, path.name, path.parts[0] if path.parts else "")
    by_file = [person for key in keys for person in people if person.file == key]
    by_student = [person for person in people if not person.file and person.student == one.student]
    for person in by_file[:1] or by_student[:1]:
        notes = tuple(note for note in one.notes if "--students" not in note)
        one = replace(one, student=person.student, notes=notes, canvas_id=person.canvas_id or one.canvas_id)
        if person.handed_in:
            one = replace(one, handed_in=local_time(person.handed_in), told_time=True)
    return one
