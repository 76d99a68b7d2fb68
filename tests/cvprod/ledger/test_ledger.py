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
