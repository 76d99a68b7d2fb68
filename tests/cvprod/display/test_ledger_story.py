"""The ledger's story: figures, verdicts and the way from the baseline, from whatever rows there are."""

import pytest
from bs4 import BeautifulSoup

from cvprod import ledger
from cvprod.contract import REQUIREMENTS, load_contract
from cvprod.display import ledger_story
from cvprod.ledger import Row

CONTRACT = load_contract()


@pytest.fixture(autouse=True)
def own_ledger(tmp_path, monkeypatch):
    monkeypatch.setenv("CVPROD_LEDGER", str(tmp_path))


def _second(size=0.2e6, milliseconds=0.2):
    ledger.record(2, [
        Row(2, "baseline", "baseline", p50_ms=20, size_bytes=44e6, accuracy=0.98, n_tiles=2000),
        Row(2, "pipeline", p50_ms=milliseconds, size_bytes=size, accuracy=0.975, n_tiles=2000),
    ])  # fmt: skip


def _eleventh(p99):
    box = Row(11, "the line's plan", p99_ms=p99, tiles_per_s=900, cost_per_million_eur=0.05)
    ledger.record(11, [box, Row(11, "Lambda, 80 % busy", p99_ms=1, tiles_per_s=9, cost_per_million_eur=9)])


def _status():
    return {check.name: check.status for check in ledger_story.today(ledger.read(), CONTRACT)[0]}


def test_empty_ledger_has_no_story_and_no_error():
    rows = ledger.read()
    assert ledger_story.headline(rows, CONTRACT) == []
    for part in (ledger_story.headline_html, ledger_story.journey):
        assert "Not run here" in part(rows, CONTRACT).data
    assert "Not run here" in ledger_story.baselines(rows).data
    assert set(_status().values()) == {"not measured"}  # not even what the card says, of a build that has run nothing
    assert ledger_story.verdicts(rows, CONTRACT).data.count("no row in the ledger") == 2 * len(REQUIREMENTS)


@pytest.mark.parametrize(("p99", "size", "expected"), [(5, 0.2e6, "met"), (50, 0.2e6, "broken"), (5, 9e6, "met")])
def test_each_line_is_judged_by_its_own_row(p99, size, expected):
    _second(size=size)
    _eleventh(p99)
    status = _status()
    assert status["p99_latency_ms"] == expected
    assert status["model_size_mb"] == ("met" if size < 3.75e6 else "broken")
    assert status["tiles_per_s"] == status["cost_per_million_tiles_eur"] == "met"  # the box's, never the function's
    assert status["memory_mb"] == "not measured"


def test_headline_counts_what_is_kept():
    _second()
    _eleventh(5)
    told = dict(reversed(pair) for pair in ledger_story.headline(ledger.read(), CONTRACT))
    assert "100 ×" in told.values() and "220 ×" in told.values()
    kept = sum(status == "met" for status in _status().values())
    assert f"{kept} of {len(REQUIREMENTS)}" in told.values()
    _eleventh(50)
    assert f"{kept - 1} of {len(REQUIREMENTS)}" in dict(ledger_story.headline(ledger.read(), CONTRACT))


def test_first_and_today_stand_side_by_side():
    ledger.record(1, [Row(1, "resnet18", "baseline", size_bytes=44.7e6, defect_recall=0.99, memory_bytes=9e8)])
    _second()
    table = BeautifulSoup(ledger_story.verdicts(ledger.read(), CONTRACT).data, "html.parser")
    rows = {row.th.get_text(): [cell.get_text() for cell in row.find_all("td")] for row in table.select("tbody tr")}
    limit, today, first, source = rows["size of the model, at most"]
    assert (limit, source) == ("3.75 MB", "chapter 2")
    assert today == "✓ met: 0.2 MB" and first == "✗ broken: 44.7 MB"
    assert rows["memory, at most"][1] == "no row in the ledger" and "broken: 900 MB" in rows["memory, at most"][2]


def test_journey_names_first_and_last_and_leaves_out_what_was_not_measured():
    _second()
    drawn = ledger_story.journey(ledger.read(), CONTRACT).data
    assert "from 20 to 0.2" in drawn and "from 44 to 0.2" in drawn and "JPEG" not in drawn
    steps = list(ledger_story.ANSWER)
    ledger.record(5, [Row(5, name, p50_ms=40 / 3**place) for place, name in enumerate(steps)])
    assert "from JPEG to label, ms: from 40 to 1.48" in ledger_story.journey(ledger.read(), CONTRACT).data


def test_both_baselines_are_shown_and_no_other_row():
    ledger.record(1, [Row(1, "resnet18", "baseline", p50_ms=22, note="p50: eager; more"), Row(1, "small", "network")])
    _second()
    text = BeautifulSoup(ledger_story.baselines(ledger.read()).data, "html.parser").get_text(" ")
    assert (
        "chapter 1" in text and "chapter 2" in text and "eager" in text and "more" not in text and "small" not in text
    )


def test_card_of_the_shipped_file_has_what_the_verdicts_read():
    _second()
    checks, sources = ledger_story.today(ledger.read(), CONTRACT)
    found = {check.name: check.measured for check in checks}
    assert 0.9 < found["defect_recall"] <= 1 and 0 <= found["false_reject_rate"] < 0.2
    assert "card" in sources["defect_recall"]
