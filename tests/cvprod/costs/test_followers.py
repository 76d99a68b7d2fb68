"""One changed price changes everything that shows it: page, README, rules, calculator, benchmark."""

import re
import shutil

import pytest

from cvprod import contract
from cvprod.bench import cost as bench
from cvprod.costs import calculator, readme, rules
from cvprod.costs.placement import CLOUD_VM
from cvprod.costs.prices import PRICES, VARIABLE, load_prices
from cvprod.repo import root


@pytest.fixture
def dearer(tmp_path, monkeypatch):
    """A copy of the list in which one machine costs ten times as much, named by the environment."""
    text = PRICES.read_text()
    block = re.search(rf"^  {CLOUD_VM}:\n(?:    .*\n)+", text, re.M)[0]
    changed = re.sub(r"value: ([\d.]+)", lambda m: f"value: {10 * float(m[1])}", block)
    (tmp_path / "prices.yaml").write_text(text.replace(block, changed))
    monkeypatch.setenv(VARIABLE, str(tmp_path / "prices.yaml"))
    return load_prices()


def test_what_is_written_is_what_the_list_says():
    prices = load_prices()
    assert (root() / rules.FILE).read_text() == rules.text(prices), "run: python -m cvprod.costs write"
    files = list(readme.files())
    assert root() / "deploy/serverless/README.md" in files
    for path in files:
        assert path.read_text() == readme.filled(path.read_text(), prices), f"{path}: run python -m cvprod.costs write"


def test_one_changed_price_changes_them_all(dearer, speed):
    before = load_prices(PRICES)
    assert dearer[CLOUD_VM].value == pytest.approx(10 * before[CLOUD_VM].value)
    assert rules.text(dearer) != rules.text(before)
    assert readme.part("bill aws", dearer) != readme.part("bill aws", before)
    shown = [calculator.page(prices, speed, peak=1, share=1, hours=1) for prices in (before, dearer)]
    assert shown[0] != shown[1]
    limits = contract.load_contract()
    rows = [{(r["option"], r["region"]): r["usd_per_million"] for r in bench.table(p, speed, limits, [1.0])} for p in
            (before, dearer)]  # fmt: skip
    differ = {key for key in rows[0] if rows[0][key] != rows[1][key]}
    assert differ == {("c7i.large", "eu-central-1")}


def test_the_chapter_takes_its_prices_from_the_list_alone():
    """No price is typed into a cell, and the list is the one that the environment names."""
    from cvprod.book import notebooks

    path = root() / "notebooks/11_cost_optimization.ipynb"
    text = "\n".join(cell.source for cell in notebooks.read(path).cells)
    assert "prices = load_prices()" in text or "load_contract(), load_prices()" in text
    published = {
        f"{p.value:g}" for p in load_prices().values() if p.kind == "published" and p.value < 20 and p.value != 5
    }
    typed = set(re.findall(r"(?<![\w.])\d+\.\d+(?![\w.])", text))
    assert not {number for number in published & typed if len(number) > 4}


def test_the_environments_list_is_read_by_default_and_a_named_one_first(dearer, tmp_path):
    assert load_prices().path == tmp_path / "prices.yaml"
    assert load_prices(PRICES).path == PRICES


def test_parts_of_a_readme_that_nobody_knows_are_refused(prices):
    with pytest.raises(ValueError, match="no part 'bill'"):
        readme.filled("<!-- costs: bill -->\n<!-- /costs -->", prices)
    done = readme.filled("a\n<!-- costs: bill gcp -->\nold\n<!-- /costs -->\nb", prices)
    assert "old" not in done and done.startswith("a\n") and done.endswith("\nb") and "**total**" in done
    assert readme.filled(done, prices) == done


def test_write_mends_files(tmp_path, monkeypatch, prices):
    monkeypatch.setattr(readme, "root", lambda: tmp_path)
    (tmp_path / "README.md").write_text("<!-- costs: calls -->\n<!-- /costs -->\n")
    assert readme.write(prices) == [tmp_path / "README.md"] and readme.write(prices) == []
    shutil.rmtree(tmp_path)
