"""The closing page tells the story of whatever is in the ledger, and says so when nothing is."""

import pytest

from cvprod import ledger
from cvprod.contract import load_contract
from cvprod.display import ledger_page
from cvprod.ledger import Row


@pytest.fixture(autouse=True)
def own_ledger(tmp_path, monkeypatch):
    monkeypatch.setenv("CVPROD_LEDGER", str(tmp_path))


@pytest.fixture
def rows():
    ledger.record(1, [Row(1, "resnet", "baseline", p50_ms=20, size_bytes=45e6, accuracy=0.99, n_tiles=700)])
    ledger.record(
        2,
        [
            Row(
                2,
                "eager",
                "baseline",
                p50_ms=24,
                p99_ms=30,
                size_bytes=45e6,
                accuracy=0.98,
                memory_bytes=6e8,
                n_tiles=2002,
            ),
            Row(2, "fair", "optimisation", p50_ms=0.4, size_bytes=0.9e6, accuracy=0.975, n_tiles=2002),
            Row(2, "blind", "optimisation", p50_ms=0.1, size_bytes=0.1e6, accuracy=0.5, n_tiles=2002),
            Row(2, "lucky", "optimisation", p50_ms=0.2, size_bytes=0.1e6, accuracy=0.999, n_tiles=70),
            Row(2, "silent", "optimisation", p50_ms=0.2, size_bytes=0.1e6, accuracy=0.998),
            Row(2, "REST", "server", p50_ms=0.05, size_bytes=9e3),  # bytes of a request, not of a file
            Row(2, "unfinished", "other", note="<b>no numbers</b>"),
        ],
    )
    return ledger.read()


def everything(rows):
    contract = load_contract()
    parts = [ledger_page.table(rows), ledger_page.story(rows, contract)]
    parts += [ledger_page.accuracy(rows, contract), ledger_page.origins(rows)]
    return [part.data for part in parts]


def test_an_empty_ledger_is_explained_and_nothing_fails():
    rows = ledger.read()
    text = ledger_page.summary(rows)
    assert "still empty" in text and "make book" in text
    assert all("Nothing to show" in html for html in everything(rows))


def test_the_gain_is_taken_from_the_quickest_row_that_still_sees(rows):
    gains = ledger_page.gains(rows)
    assert gains.loc[2, "to"] == "fair"
    assert gains.loc[2, "faster"] == pytest.approx(60) and gains.loc[2, "smaller"] == pytest.approx(50)
    assert gains.loc[2, "points"] == pytest.approx(-0.5)
    assert gains.loc[1, "faster"] == 1  # its own baseline, never another chapter's row
    text = ledger_page.summary(rows)
    assert "Chapter 1: no row is quicker than resnet and sees as well" in text
    assert "60 times as fast and 50 times smaller" in text and "-0.50 points" in text


def test_a_baseline_without_its_tiles_is_no_match_for_anything(rows):
    rows.loc[rows["name"] == "eager", "n_tiles"] = None
    assert list(ledger_page.gains(rows).index) == [1]


def test_chapters_that_were_not_run_are_named(rows, tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    for name in ("01_a", "02_b", "03_frameworks"):
        (tmp_path / "notebooks" / f"{name}.ipynb").touch()
    monkeypatch.setattr(ledger_page, "root", lambda: tmp_path)
    assert ledger_page.chapters() == {1: "01_a", 2: "02_b", 3: "03_frameworks"}
    assert "Not yet run: `03_frameworks`" in ledger_page.summary(rows)
    assert "Run `01_a`, `02_b`, `03_frameworks`" in ledger_page.summary(rows.iloc[:0])


def test_the_page_shows_every_row_its_origin_and_two_described_plots(rows):
    table, story, accuracy, origins = everything(rows)
    assert all(name in table for name in ("resnet", "eager", "fair", "blind", "lucky", "unfinished"))
    assert "0.9" in table and "97.50%" in table and "EUR a million" not in table  # nobody filled that column
    assert 'role="img"' in story and "quickest is blind with 0.1 ms" in story
    assert "limits for size and for the p99 of the whole way" in story
    assert "most accurate is resnet with 99.0%" in accuracy and "4 measured rows" in accuracy
    assert "fewer than 700 tiles are left out: 2 of them" in accuracy  # "silent" may have been judged on ten
    assert rows["cpu"][0] in origins and rows["date"][0].strftime("%Y-%m-%d") in origins


def test_names_are_words_and_a_baseline_is_bold_only_in_its_own_chapter(rows):
    ledger.record(2, [Row(2, "ort_int8", p50_ms=3), Row(2, "baseline", "baseline", p50_ms=9)])
    ledger.record(3, [Row(3, "ort_int8", p50_ms=4), Row(3, "ResNet-18, PyTorch", p50_ms=8)])
    table = ledger_page.table(ledger.read()).data
    assert table.count("ResNet-18, ONNX Runtime, INT8") == 1 and table.count(">ort_int8<") == 1
    parts = table.split("<tr>")
    assert ["bold" in part for part in parts if "ResNet-18, PyTorch" in part] == [True, False]
    assert 'class="cv-table cv-ledger"' in table


def test_note_is_told_where_there_is_no_number(rows):
    ledger.record(2, [Row(2, "a", note="counted in words"), Row(2, "b", p50_ms=1, note="a detail")])
    table = ledger_page.table(ledger.read()).data
    assert "counted in words" in table and "a detail" not in table
