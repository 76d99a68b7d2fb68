"""The ledger keeps what was recorded, says where it came from, and refuses what it cannot trust."""

import json
import math
import threading
from pathlib import Path

import pandas as pd
import pytest

from cvprod import ledger
from cvprod.ledger import LedgerError, Row


@pytest.fixture(autouse=True)
def own_ledger(tmp_path, monkeypatch):
    monkeypatch.setenv("CVPROD_LEDGER", str(tmp_path / "ledger"))
    return tmp_path / "ledger"


def test_rows_come_back_as_recorded_with_their_origin():
    before = pd.Timestamp.now(tz="UTC").floor("s")
    ledger.record(2, [Row(2, "int8", "optimisation", p50_ms=1.5, size_bytes=900, accuracy=0.98, n_tiles=2000)])
    ledger.record(1, [Row(1, "baseline", "baseline", p50_ms=20.25, note="ü")])
    table = ledger.read()
    assert list(table["chapter"]) == [1, 2] and list(table["name"]) == ["baseline", "int8"]
    assert table["p50_ms"].tolist() == [20.25, 1.5] and table["note"][0] == "ü"
    assert math.isnan(table["accuracy"][0]) and table["accuracy"][1] == 0.98
    assert table["date"].between(before, pd.Timestamp.now(tz="UTC")).all()
    assert table["cpu"].str.len().min() > 0 and "torch" in table["versions"][0]
    assert list(ledger.read(2)["name"]) == ["int8"]


def test_an_empty_ledger_is_an_empty_table_with_every_column(own_ledger):
    assert not own_ledger.exists()
    table = ledger.read()
    assert len(table) == 0 and {"p50_ms", "cpu", "date"} <= set(table.columns)
    assert table["p50_ms"].min() is not None  # arithmetic on it does not fail


def test_a_chapter_replaces_its_own_rows_and_no_others():
    ledger.record(1, [Row(1, "old"), Row(1, "older")])
    ledger.record(2, [Row(2, "kept")])
    ledger.record(1, [Row(1, "new")])
    assert list(ledger.read()["name"]) == ["new", "kept"]


def test_dicts_are_rows_too():
    ledger.record(3, [{"name": "ort", "kind": "runtime", "p50_ms": 0.4}])
    assert ledger.read()["kind"].tolist() == ["runtime"]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([Row(2, "elsewhere")], "belongs to chapter 2"),
        ([Row(1, "twin"), Row(1, "twin")], "two rows"),
        ([{"name": "x", "latency": 3}], "unknown field latency"),
        ([{"name": "x", 5: 3, "y": 4}], "unknown field 5, y"),
        ([{}], "needs a name"),
        ([{"name": None}], "needs a name"),
        ([{"name": 5}], "needs a name"),
        ([5], "5 is no row"),
        (["x"], "'x' is no row"),
        ([{"name": "x", "p50_ms": "fast"}], "x: p50_ms is 'fast'"),
        ([], "no rows"),
    ],
)
def test_a_bad_batch_leaves_the_old_rows(rows, says):
    ledger.record(1, [Row(1, "old")])
    with pytest.raises(LedgerError, match=says):
        ledger.record(1, rows)
    assert list(ledger.read()["name"]) == ["old"]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"chapter": 0}, "1..12"),
        ({"chapter": 13}, "1..12"),
        ({"name": " "}, "needs a name"),
        ({"kind": "fast"}, "baseline, network"),
        ({"p50_ms": -1.0}, "p50_ms"),
        ({"p50_ms": math.inf}, "p50_ms"),
        ({"accuracy": 97.5}, "share"),
        ({"chapter": True}, "1..12, not True"),
        ({"chapter": 1.0}, "1..12"),
        ({"name": None}, "needs a name"),
        ({"kind": ["baseline"]}, "unknown"),
        ({"p50_ms": "1"}, "not a number"),
        ({"p50_ms": True}, "not a number"),
        ({"p50_ms": [1]}, "not a number"),
        ({"p50_ms": 10**400}, "not a number"),
        ({"size_bytes": 10**5000}, "not a number"),
        ({"size_bytes": 2**63}, "no computer"),
        ({"note": None}, "note"),
    ],
)
def test_a_row_that_cannot_be_true_is_refused(wrong, says):
    with pytest.raises(LedgerError, match=says):
        Row(**({"chapter": 1, "name": "row"} | wrong))


def test_numpy_numbers_are_stored_as_plain_ones():
    import numpy as np

    ledger.record(1, [Row(1, "np", p50_ms=np.float32(0.5), size_bytes=np.int64(7), n_tiles=np.int32(3))])
    assert ledger.read()[["p50_ms", "size_bytes", "n_tiles"]].iloc[0].tolist() == [0.5, 7, 3]


def test_nan_means_not_measured():
    assert Row(1, "no clean tiles", false_reject_rate=math.nan, n_tiles=math.nan) == Row(1, "no clean tiles")


def test_a_crash_while_writing_leaves_the_old_file_and_no_litter(monkeypatch, own_ledger):
    ledger.record(1, [Row(1, "old")])

    def power_cut(self, target):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", power_cut)
        with pytest.raises(OSError, match="disk full"):
            ledger.record(1, [Row(1, "new")])
    assert list(ledger.read()["name"]) == ["old"]
    assert [p.name for p in own_ledger.iterdir()] == ["chapter_01.jsonl"]


def test_every_cut_of_a_file_is_noticed():
    """Truncate the file at every byte: it is refused, never read as fewer rows."""
    path = ledger.record(1, [Row(1, "a", p50_ms=1.0), Row(1, "b"), Row(1, "c", note="é")])
    whole = path.read_bytes()
    for end in range(len(whole) - 1):  # losing only the last newline loses nothing
        path.write_bytes(whole[:end])
        with pytest.raises(LedgerError, match=r"chapter_01\.jsonl.*run its chapter again"):
            ledger.read()


@pytest.mark.parametrize("junk", ["[]\n", "3\n", '{"ledger": 99, "rows": 0}\n', '{"ledger": 1, "rows": 0}\n{}\n'])
def test_junk_is_refused(junk, own_ledger):
    own_ledger.mkdir(parents=True)
    (own_ledger / "chapter_04.jsonl").write_text(junk)
    with pytest.raises(LedgerError, match=r"chapter_04\.jsonl"):
        ledger.read()


def test_a_row_edited_by_hand_is_checked_like_any_other():
    path = ledger.record(1, [Row(1, "a", accuracy=0.9)])
    path.write_text(path.read_text().replace("0.9", "90"))
    with pytest.raises(LedgerError, match="accuracy"):
        ledger.read()


def _damaged(path, line, **changes):
    """Change fields of one line of a file (0 is the header); ``...`` takes a field away."""
    lines = path.read_text().splitlines()
    fields = json.loads(lines[line]) | changes
    lines[line] = json.dumps({key: value for key, value in fields.items() if value is not ...})
    path.write_text("\n".join(lines) + "\n")


MACHINE = {"cpu": "a CPU", "cores": 2}


@pytest.mark.parametrize(
    ("line", "changes"),
    [
        (0, {"chapter": 2}),
        (0, {"chapter": True}),
        (0, {"chapter": ...}),
        (0, {"rows": 2.0}),
        (0, {"rows": "2"}),
        (0, {"date": "yesterday"}),
        (0, {"date": ["2026-11-20"]}),
        (0, {"date": None}),
        (0, {"date": ...}),
        (0, {"date": "0001-01-01"}),
        (0, {"date": "9999-12-31T23:59:59-10:00"}),
        (0, {"machine": MACHINE | {"cores": "two"}}),
        (0, {"machine": MACHINE | {"cores": 0}}),
        (0, {"machine": MACHINE | {"cpu": None}}),
        (0, {"machine": [1]}),
        (0, {"versions": None}),
        (1, {"p50_ms": "fast"}),
        (1, {"size_bytes": 10**400}),
        (2, {"name": 5}),
        (2, {"name": None}),
        (2, {"name": ...}),
        (2, {"chapter": ...}),
    ],
)
def test_a_damaged_field_is_refused_with_its_file_and_line(line, changes):
    path = ledger.record(1, [Row(1, "a"), Row(1, "b")])
    _damaged(path, 0, machine=MACHINE)
    assert len(ledger.read()) == 2, "sound before it is damaged"
    _damaged(path, line, **changes)
    with pytest.raises(LedgerError, match=rf"chapter_01\.jsonl: line {line + 1}: .* run its chapter again"):
        ledger.read()


@pytest.mark.parametrize("value", ["[" * 100_000, "[1]", "null", "1" * 5000])
def test_a_line_that_is_no_row_is_refused(value):
    path = ledger.record(1, [Row(1, "a"), Row(1, "b")])
    path.write_text("\n".join([*path.read_text().splitlines()[:-1], value]))
    with pytest.raises(LedgerError, match=r"chapter_01\.jsonl: line 3: "):
        ledger.read()


def test_rows_of_another_chapter_and_twins_are_refused_when_read_as_when_recorded():
    path = ledger.record(1, [Row(1, "a"), Row(1, "b")])
    sound = path.read_text()
    _damaged(path, 2, chapter=7)
    with pytest.raises(LedgerError, match=r"chapter_01\.jsonl: b: belongs to chapter 7"):
        ledger.read()
    path.write_text(sound)
    _damaged(path, 2, name="a")
    with pytest.raises(LedgerError, match=r"chapter_01\.jsonl: a: two rows"):
        ledger.read()


@pytest.mark.parametrize("name", ["chapter_05.jsonl", "chapter_1.jsonl", "chapter_01 (copy).jsonl"])
def test_a_file_copied_to_another_name_is_refused(name):
    path = ledger.record(1, [Row(1, "a")])
    path.with_name(name).write_bytes(path.read_bytes())
    with pytest.raises(LedgerError, match="its name another"):
        ledger.read()


def test_a_header_that_promises_no_rows_is_refused():
    path = ledger.record(1, [Row(1, "a")])
    _damaged(path, 0, rows=0)
    path.write_text(path.read_text().splitlines()[0] + "\n")
    with pytest.raises(LedgerError, match="holds 0 rows"):
        ledger.read()


def test_a_folder_or_other_bytes_in_place_of_a_file_are_refused(own_ledger):
    path = own_ledger / "chapter_02.jsonl"
    path.mkdir(parents=True)
    with pytest.raises(LedgerError, match=r"chapter_02\.jsonl: cannot be read"):
        ledger.read()
    path.rmdir()
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(LedgerError, match=r"chapter_02\.jsonl: damaged"):
        ledger.read()


def test_dates_of_any_zone_and_form_become_utc():
    for chapter, date in enumerate(["2026-11-20", "2026-11-20T01:00:00+01:00", "2026-11-20T00:00:00Z"], 1):
        _damaged(ledger.record(chapter, [Row(chapter, "a")]), 0, date=date)
    assert (ledger.read()["date"] == pd.Timestamp("2026-11-20", tz="UTC")).all()


@pytest.mark.parametrize("chapter", [True, 0, 13, "1", None, 1.0])
def test_a_chapter_that_is_none_records_nothing(chapter, own_ledger):
    with pytest.raises(LedgerError, match=r"1\.\.12"):
        ledger.record(chapter, [{"name": "a"}])
    assert not own_ledger.exists()


def test_writers_at_the_same_time_leave_one_whole_file():
    batches = [[Row(1, f"{writer}-{i}") for i in range(30)] for writer in range(6)]
    workers = [threading.Thread(target=ledger.record, args=(1, batch)) for batch in batches]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    names = list(ledger.read()["name"])
    assert len(names) == 30 and len({name.split("-")[0] for name in names}) == 1


def test_the_header_carries_machine_and_versions():
    header = json.loads(ledger.record(1, [Row(1, "a")]).read_text().splitlines()[0])
    assert header["rows"] == 1 and header["machine"]["cpu"] and header["versions"]["cvprod"]
