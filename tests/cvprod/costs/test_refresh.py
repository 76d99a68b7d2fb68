"""Today's prices out of answers in the form that the providers document; the list is rewritten number by number."""

import re
import shutil
import urllib.parse
from datetime import date
from pathlib import Path

import pytest

from cvprod.costs import Prices, load_prices
from cvprod.costs.__main__ import main
from cvprod.costs.prices import PRICES
from cvprod.costs.refresh import RefreshError, ask, by_hand, changes, write

ANSWERS = Path(__file__).parent / "answers"
TODAY = date(2026, 12, 24)
ASKED = ("usd_in_eur", "azure_d2s_v5_us", "azure_d2s_v5_us_spot", "aws_lambda_gb_s_eu", "aws_lambda_arm_gb_s_eu",
         "aws_lambda_call_eu", "aws_c7i_large_eu")  # fmt: skip


def recorded(address):
    """The lines of the answer to that address."""
    words = urllib.parse.unquote_plus(address)
    if "ecb.europa.eu" in words:
        name = "ecb.xml"
    elif "page=2" in words:
        name = "azure_2.json"
    elif "prices.azure.com" in words:
        assert "armRegionName eq 'eastus'" in words and "armSkuName eq 'Standard_D2s_v5'" in words
        name = "azure_1.json"
    elif "AWSLambda/current/eu-central-1/index.csv" in words:
        name = "aws_lambda.csv"
    else:
        assert "AmazonEC2/current/eu-central-1/index.csv" in words, words
        name = "aws_ec2.csv"
    with (ANSWERS / name).open(newline="") as lines:
        yield from lines


@pytest.fixture
def some(prices):
    return Prices({name: prices[name] for name in ASKED})


def test_each_interface_gives_the_one_number_that_is_meant(some):
    found, problems = ask(some, recorded, TODAY)
    assert problems == []
    assert {one.name: one.value for one in found} == {
        "usd_in_eur": 0.8982, "azure_d2s_v5_us": 0.101, "azure_d2s_v5_us_spot": 0.0225,
        "aws_lambda_gb_s_eu": 0.0000166667, "aws_lambda_arm_gb_s_eu": 0.000012, "aws_lambda_call_eu": 0.0000002,
        "aws_c7i_large_eu": 0.105,
    }  # fmt: skip
    days = {one.name: one.as_of for one in found}
    assert days["usd_in_eur"] == date(2026, 10, 28) and days["azure_d2s_v5_us"] == TODAY
    assert days["aws_lambda_call_eu"] == date(2026, 11, 20)


def test_only_what_changed_is_told(some):
    told = changes(some, ask(some, recorded, TODAY)[0])
    assert len(told) == 4 and any("aws_c7i_large_eu: 0.10185 -> 0.105 USD/h (+3.1%)" in line for line in told)


def test_what_cannot_be_found_is_named_and_the_rest_is_kept(prices):
    def broken(address):
        if "azure" in address:
            raise RefreshError("prices.azure.com: no answer (down)")
        return recorded(address)

    some = Prices({name: prices[name] for name in (*ASKED, "aws_c7a_large_eu")})
    found, problems = ask(some, broken, TODAY)
    assert len(found) == 5 and len(problems) == 3
    assert any("aws_c7a_large_eu: not in the price file" in line for line in problems)


@pytest.mark.parametrize("answer", ["", "{}", '{"Items": [{"a": 1}]', "<html>"])
def test_an_answer_of_another_form_is_a_problem_and_no_price(prices, answer):
    some = Prices({"azure_d2s_v5_us": prices["azure_d2s_v5_us"], "usd_in_eur": prices["usd_in_eur"]})
    found, problems = ask(some, lambda _: [answer], TODAY)
    assert found == [] and len(problems) == 2


def test_two_prices_for_one_machine_are_a_problem(prices):
    text = (ANSWERS / "azure_2.json").read_text()
    twice = text.replace('"retailPrice":0.0225', '"retailPrice":0.09').replace("D2s v5 Spot", "D2s v5")
    some = Prices({"azure_d2s_v5_us": prices["azure_d2s_v5_us"]})
    assert "2 prices" in ask(some, lambda _: [twice], TODAY)[1][0]


def test_writing_changes_the_number_its_day_and_its_review_and_nothing_else(some, tmp_path):
    copy = tmp_path / "prices.yaml"
    shutil.copy(PRICES, copy)
    found, _ = ask(some, recorded, TODAY)
    write(copy, found, TODAY)
    before, after = load_prices(), load_prices(copy)
    for name, price in after.items():
        if name in ASKED:
            assert price.reviewed == TODAY and price.confidence == "high"
        else:
            assert price == before[name]
    assert after["aws_c7i_large_eu"].value == 0.105 and str(after["aws_c7i_large_eu"].as_of) == "2026-11-21"
    old, new = PRICES.read_text().splitlines(), copy.read_text().splitlines()
    assert len(old) == len(new)
    touched = {line.split(":")[0].strip() for a, b in zip(old, new, strict=True) if a != b for line in (b,)}
    assert touched <= {"value", "as_of", "reviewed", "confidence"}


def test_every_query_is_one_that_refresh_knows(prices):
    for name, price in prices.items():
        if price.query:
            fields = {"ecb": {"api"}, "azure": {"api", "sku", "spot"}, "aws": {"api", "offer", "usage", "operation"}}
            assert set(price.query) <= fields[price.query["api"]], name
    hand = by_hand(prices)
    assert all(name.startswith("gcp_") for name in hand if prices[name].group == "vm" and "azure_d2a" not in name)


def test_the_check_fails_only_when_a_review_is_overdue(tmp_path, capsys):
    fresh, stale = tmp_path / "fresh.yaml", tmp_path / "stale.yaml"
    text = PRICES.read_text()
    fresh.write_text(re.sub(r"^    reviewed: \S+", f"    reviewed: {date.today()}", text, flags=re.M))
    stale.write_text(fresh.read_text().replace(f"reviewed: {date.today()}", "reviewed: 2020-01-01", 1))
    assert main(["--prices", str(fresh), "refresh", "--check"]) == 0
    assert main(["--prices", str(stale), "refresh", "--check"]) == 1
    assert "usd_in_eur: reviewed 2020-01-01" in capsys.readouterr().out
    assert main(["--prices", str(tmp_path / "none.yaml"), "refresh", "--check"]) == 2
