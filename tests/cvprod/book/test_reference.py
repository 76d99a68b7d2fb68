"""The reference run: several runs on a quiet machine become data, and stand beside what is measured here."""

import json

import nbformat
import pytest

from cvprod import ledger, measure, reference
from cvprod.book import notebooks
from cvprod.book import reference as command

RECORDS = """
from pathlib import Path
from cvprod import ledger
counter = Path("count")
n = int(counter.read_text()) + 1 if counter.exists() else 1
counter.write_text(str(n))
ledger.record(2, [ledger.Row(2, "fast", p50_ms=float(n)), ledger.Row(2, "small", tiles_per_s=100.0 * n)])
"""


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A project with one chapter, whose numbers are those of its run: 1, 2, 3."""
    (tmp_path / "notebooks").mkdir()
    _write(tmp_path, RECORDS)
    monkeypatch.setattr(measure, "undisturbed", lambda: True)
    monkeypatch.setenv("CVPROD_LEDGER", str(tmp_path / "ledger"))
    return tmp_path


def _write(root, source):
    cells = [nbformat.v4.new_code_cell(source)]
    notebooks.write(nbformat.v4.new_notebook(cells=cells), root / "notebooks/02_a.ipynb")


def test_three_runs_are_recorded_and_stand_beside_a_run_here(root):
    target = root / "reference.json"
    assert reference.caption(2, target).startswith("No reference run")
    assert command.main(["2"], root, target) == 0
    kept = reference.read(2, target)
    assert kept["rows"] == {"fast": {"p50_ms": [1.0, 2.0, 3.0]}, "small": {"tiles_per_s": [100.0, 200.0, 300.0]}}
    assert kept["repeats"] == 3 and kept["machine"]["cores"] >= 1 and kept["date"][:2] == "20"
    assert not (root / "ledger").exists()  # the reader's own ledger is left alone
    ledger.record(2, [ledger.Row(2, "fast", p50_ms=9.0), ledger.Row(2, "new", p50_ms=1.0)])
    table = reference.beside(2, "p50_ms", target)
    assert table.loc["fast"].tolist() == [9.0, "2 (1 to 3)"] and table.loc["new", "reference"] == "–"
    assert kept["machine"]["cpu"] in reference.caption(2, target) and "median of 3" in reference.caption(2, target)
    with pytest.raises(ValueError, match="one of p50_ms"):
        reference.beside(2, "accuracy", target)


def test_other_chapters_records_stay(root):
    target = root / "reference.json"
    target.write_text(json.dumps({"chapters": {"06": {"rows": {}}}}))
    assert command.main(["2"], root, target) == 0
    assert set(json.loads(target.read_text())["chapters"]) == {"02", "06"}


@pytest.mark.parametrize("when", ["before", "meanwhile", "fails", "claims", "no rows"])
def test_a_disturbed_run_records_nothing(root, monkeypatch, capsys, when):
    answers = iter({"before": [False], "meanwhile": [True, True, False]}.get(when, [True] * 9))
    monkeypatch.setattr(measure, "undisturbed", lambda: next(answers))
    planted = {
        "fails": RECORDS + "raise OSError('planted')",
        "claims": RECORDS + "from cvprod import claims\nclaims.holds('{a} < 1', lambda a: a < 1, {'a': 2})",
        "no rows": "1",
    }
    _write(root, planted.get(when, RECORDS))
    assert command.main(["2"], root, root / "reference.json") == 1
    assert not (root / "reference.json").exists() and "No reference was recorded" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--repeats", "2", "2"], ["9"]])
def test_too_few_runs_and_unknown_chapters_are_told(root, words, capsys):
    assert command.main(words, root, root / "reference.json") == 2
    assert capsys.readouterr().err


def test_what_is_committed_is_whole():
    """Where a reference is committed, it has enough runs and names its machine and date."""
    if not reference.PATH.is_file():
        pytest.skip("no reference run is recorded yet: python -m cvprod.book.reference on a quiet machine")
    for chapter, found in json.loads(reference.PATH.read_text())["chapters"].items():
        assert found["repeats"] >= 3 and found["machine"]["cpu"] and found["date"], chapter
        values = [values for row in found["rows"].values() for values in row.values()]
        assert values and all(len(v) == found["repeats"] for v in values)
