"""Predict, then see: each question has its place, three answers, and an answer that follows from the ledger's rows."""

import json
import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import checks
import pandas as pd
import pytest
import yaml
from bs4 import BeautifulSoup
from docutils import nodes

from cvprod import ledger
from cvprod.repo import ROOT

predict = pytest.importorskip("cvprod_site").predict
QUESTIONS = predict.load(ROOT / predict.PLACE)
RATIO = {
    "chapter": 1, "before": "c", "ask": "How much?", "value": {"of": "p50_ms", "ratio": ["slow", "fast*"]},
    "limits": [2, 10], "answers": ["few", "some", "many"], "tell": "{a:.0f} to {b:.0f}, {value:.0f} times",
}  # fmt: skip
PICK = {
    "chapter": 1, "before": "c", "ask": "Which?", "pick": {"of": "p50_ms", "best": "least"}, "unit": "ms",
    "answers": [{"text": name, "row": name} for name in ("slow", "mid", "fast 1")],
}  # fmt: skip


def _question(entry, tmp_path, **changed):
    path = tmp_path / "predict.yml"
    path.write_text(yaml.safe_dump([{**entry, **changed}]))
    return predict.load(path)[0]


def _rows(**p50):
    rows = [
        ledger.Row(1, name.replace("_", " "), p50_ms=value, note=f"{value} us a call") for name, value in p50.items()
    ]
    return pd.DataFrame([vars(row) for row in rows])


def test_every_question_has_its_place():
    assert not predict.misplaced(QUESTIONS, ROOT)


def test_each_chapter_asks_two_to_four_questions_and_no_two_are_the_same():
    counts = Counter(question.chapter for question in QUESTIONS)
    assert set(counts) == set(range(1, 13)) and all(2 <= count <= 4 for count in counts.values())
    assert len({question.name for question in QUESTIONS}) == len(QUESTIONS)


def test_no_answer_is_typed():
    """With other rows another answer is right, and the sentence tells another number: for every question, all three."""
    for question in QUESTIONS:
        rights, told = set(), set()
        for rows in _worlds(question):
            found = predict.answer(question, rows)
            rights.add(found.right)
            told.add(found.says)
        assert rights == {0, 1, 2}, question.ask
        assert len(told) >= 3, question.ask


def _worlds(question):
    """Ledgers in which each of the answers is right."""
    how, names = question.value or question.pick, [pattern.replace("*", "x") for pattern in question.rows]
    scale = how.get("scale", 1)
    if question.pick:
        far = -1 if how["best"] == "least" else 1
        worlds = [[50 + far * 10 * (place == right) for place in range(3)] for right in range(3)]
    else:
        low, high = question.limits
        wanted = [value / scale for value in (low - (high - low) / 4, (low + high) / 2, high * 1.5)]
        if "ratio" in how:
            worlds = [[value * 8, 8] for value in wanted]
        elif "less" in how:
            worlds = [[40 + value, 40] for value in wanted]
        else:
            worlds = [[max(0, value)] for value in wanted]
    for numbers in worlds:
        yield pd.DataFrame([
            {"name": name, "note": _note(how, value)} if how["of"] == "note" else {"name": name, how["of"]: value}
            for name, value in zip(names, numbers, strict=True)
        ])  # fmt: skip


def _note(how, value):
    return how["find"].replace(r"(\d+)", f"{value:.0f}").replace(r"([\d.]+)", f"{value:.4f}").replace(r"\d+", "999")


@pytest.mark.parametrize(("slow", "right"), [(1.5, 0), (2, 1), (9.9, 1), (10, 2), (70, 2)])
def test_answer_follows_from_the_rows(tmp_path, slow, right):
    found = predict.answer(_question(RATIO, tmp_path), _rows(slow=slow, fast_1=1))
    assert found.right == right and f"{slow:.0f} to 1" in found.says


def test_least_or_most_of_three_rows(tmp_path):
    rows = _rows(slow=9, mid=4, fast_1=5)
    assert predict.answer(_question(PICK, tmp_path), rows).right == 1
    most = _question(PICK, tmp_path, pick={"of": "p50_ms", "best": "most"})
    assert predict.answer(most, rows).right == 0
    assert predict.answer(most, rows).says == "Slow 9 ms; mid 4 ms; fast 1 5 ms."


def test_number_in_a_note_counts(tmp_path):
    value = {"of": "note", "find": r"([\d.]+) us", "row": "slow"}
    found = predict.answer(_question(RATIO, tmp_path, value=value, tell="{value:.1f}"), _rows(slow=3.5))
    assert (found.right, found.says) == (1, "3.5")


def test_missing_row_or_number_leaves_the_question_open(tmp_path):
    question = _question(RATIO, tmp_path)
    for rows in (ledger.read(1).iloc[:0], _rows(slow=9), _rows(slow=9, fast_1=float("nan")), _rows(slow=9, fast_1=0)):
        found = predict.answer(question, rows)
        assert found is None
    assert "Not run here" in predict.markup(question, None) and "data-right" not in predict.markup(question, None)


def test_pattern_that_means_two_rows_is_a_fault(tmp_path):
    with pytest.raises(predict.QuestionError, match="fast 1, fast 2"):
        predict.answer(_question(RATIO, tmp_path), _rows(slow=9, fast_1=1, fast_2=1))


@pytest.mark.parametrize(
    "changed",
    [
        {"limits": [10, 2]}, {"answers": ["a", "b"]}, {"pick": {"of": "p50_ms", "best": "least"}}, {"right": 1},
        {"value": {"of": "p50_ms"}}, {"value": {"of": "note", "row": "x"}},
    ],
)  # fmt: skip
def test_entry_that_makes_no_question_is_refused(tmp_path, changed):
    with pytest.raises(predict.QuestionError, match=r"predict\.yml, 1, c"):
        _question(RATIO, tmp_path, **changed)


def test_markup_can_be_read_out_and_used_without_a_script(tmp_path):
    form = BeautifulSoup(predict.markup(_question(RATIO, tmp_path), predict.Answer(2, "9 < 10")), "html.parser").form
    assert form.fieldset.legend.get_text() == "Predict, then see"
    assert [label.input["type"] for label in form.select("label")] == ["radio"] * 3
    assert len({label.input["name"] for label in form.select("label")}) == 1
    assert form["data-right"] == "2" and "9 < 10" in form.details.get_text() and not form.details.has_attr("open")


def test_lost_cell_is_told_with_its_chapter(tmp_path):
    (tmp_path / "notebooks").mkdir()
    cells = [{"id": "text", "cell_type": "markdown"}, {"id": "c", "cell_type": "code"}]
    (tmp_path / "notebooks/01_x.ipynb").write_text(json.dumps({"cells": cells}))
    good = _question(RATIO, tmp_path)
    assert not predict.misplaced([good], tmp_path)
    faults = predict.misplaced(
        [_question(RATIO, tmp_path, **changed) for changed in ({"before": "gone"}, {"before": "text"}, {"chapter": 2})],
        tmp_path,
    )
    assert ["no such cell" in faults[0], "no code cell" in faults[1], "no such chapter" in faults[2]] == [True] * 3


def _app(tmp_path, order):
    (tmp_path / "book").mkdir(exist_ok=True)
    (tmp_path / "book/predict.yml").write_text(yaml.safe_dump([RATIO]))
    notebook = tmp_path / "01_x.ipynb"
    notebook.write_text(json.dumps({"cells": [{"id": name} for name in order]}))
    env = SimpleNamespace(docname="notebooks/01_x", note_dependency=lambda path: None, doc2path=lambda name: notebook)
    return SimpleNamespace(srcdir=tmp_path, env=env)


def test_question_stands_before_its_cell(tmp_path, monkeypatch):
    monkeypatch.setenv("CVPROD_LEDGER", str(tmp_path))
    cells = [nodes.container(nb_element="cell_code", cell_index=place) for place in (1, 2)]
    page = nodes.section("", nodes.paragraph("", "before"), *cells)
    predict.insert(_app(tmp_path, ["a", "b", "c"]), page)
    kinds = [type(child).__name__ for child in page]
    assert kinds == ["paragraph", "container", "raw", "container"] and page[3] is cells[1]


def test_lost_place_is_a_warning_of_the_build(tmp_path, monkeypatch, caplog):
    from sphinx.util import logging

    monkeypatch.setenv("CVPROD_LEDGER", str(tmp_path))
    heard = []
    logger = SimpleNamespace(warning=lambda text, *values, **_: heard.append(text % values))
    monkeypatch.setattr(logging, "getLogger", lambda name: logger)
    predict.insert(_app(tmp_path, ["a", "b"]), nodes.section(""))
    assert len(heard) == 1 and "'c'" in heard[0] and "lost its place" in heard[0]


@pytest.mark.site
def test_built_pages_ask_and_answer(site):
    """Every question is on its page; where the chapter has rows, and a peer it asks for ran, it has its answer."""
    for question in QUESTIONS:
        (page,) = (site / "notebooks").glob(f"{question.chapter:02d}_*.html")
        form = checks.soup(page).select_one(f'form[data-predict="{question.name}"]')
        assert form is not None, question.ask
        rows = ledger.read(question.chapter)
        if len(rows) and "CVPROD_SITE" not in os.environ and question.chapter != 6:
            found = predict.answer(question, rows)
            assert found is not None, f"chapter {question.chapter} has no row {question.rows} any more"
            assert form.get("data-right") == str(found.right), question.ask


def test_choice_is_kept_and_the_answer_opens(browser, tmp_path):
    from chromium import Site

    forms = [predict.markup(_question(RATIO, tmp_path, ask=ask), predict.Answer(2, "9 < 10")) for ask in ("A?", "B?")]
    script = (ROOT / "book/_static/predict.js").read_text()
    (tmp_path / "index.html").write_text(
        f'<!doctype html><html lang="en"><link rel="icon" href="data:,"><title>A page</title>{"".join(forms)}'
        f"<script>{script}</script></html>"
    )
    look = """[...document.querySelectorAll("form")].map(form => [form.querySelector("details").open,
        form.querySelector("input:checked")?.value ?? null, form.querySelector(".cv-predict-said").textContent])"""
    with Site(tmp_path) as server:
        browser.open(server.address)
        assert browser.run(look) == [[False, None, ""]] * 2
        browser.run("document.querySelectorAll('input')[2].click(); document.querySelectorAll('input')[3].click()")
        said = browser.run(look)
        assert [form[:2] for form in said] == [[True, "2"], [True, "0"]] and said[0][2] != said[1][2]
        browser.open(server.address)
        kept = browser.run(look)
        assert [form[1:] for form in kept] == [form[1:] for form in said] and not browser.complaints()


SCRIPT = """
const predict = require(process.argv[1]);
const out = [predict.said("1", "1"), predict.said("0", "1"), predict.said("0", undefined)];
console.log(JSON.stringify(out));
"""


def test_script_says_whether_the_choice_was_right():
    if shutil.which("node") is None:
        pytest.skip("node is missing (Debian: apt-get install nodejs)")
    file = str(Path(ROOT, "book/_static/predict.js"))
    done = subprocess.run(["node", "-e", SCRIPT, file], capture_output=True, text=True, check=True)
    right, wrong, unknown = json.loads(done.stdout)
    assert len({right, wrong, unknown}) == 3 and "no number" in unknown
