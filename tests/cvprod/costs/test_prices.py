"""The price list is dated, sourced and looked at again, and a wrong one is refused by file and field."""

from datetime import date, timedelta

import pytest
import yaml

from cvprod.costs import PriceError, Prices, load_prices
from cvprod.costs.prices import PRICES, Price

#: Reviews may be late by so many days before the tests fail; the page warns and `refresh --check` fails from day one.
PATIENCE = timedelta(365)


def test_every_number_has_a_source_a_unit_and_a_day_that_has_come():
    prices = load_prices()
    assert len(prices) >= 80
    for name, price in prices.items():
        assert price.as_of == "undated" or price.as_of <= date.today(), name
        assert price.reviewed <= date.today() and price.source and price.unit and price.item, name
        if price.kind == "published":
            assert price.read_at.startswith("https://") or price.confidence == "low", f"{name} has no address"
        else:
            assert not price.query and not price.provider, name


@pytest.mark.parametrize("provider", ["aws", "gcp", "azure"])
def test_each_cloud_has_machines_in_two_regions_one_in_europe_and_everything_else(provider):
    from cvprod.costs.options import EUROPE

    prices = load_prices()
    regions = {price.region for price in prices.select(group="vm", provider=provider).values()}
    assert len(regions) >= 2 and regions & set(EUROPE) and regions - set(EUROPE)
    for group in ("spot", "gpu", "container", "function", "storage", "network", "logs"):
        assert prices.select(group=group, provider=provider), f"{provider} has no {group}"


def test_names_say_code_group_and_region():
    for name, price in load_prices().items():
        if price.provider and price.group != "carbon":
            assert name.startswith(f"{price.provider}_"), name
        assert name.endswith("_spot") == (price.group == "spot"), name


def test_no_review_is_late_by_more_than_the_patience_of_this_test():
    late = load_prices().overdue(date.today() - PATIENCE)
    told = ", ".join(f"{name} (due {price.due})" for name, price in late.items())
    assert not late, (
        f"nobody has held these against their source for a year longer than agreed: {told}. Run "
        "`python -m cvprod.costs refresh --write`, look the others up by hand, and set their 'reviewed'."
    )


def test_spot_prices_are_due_after_a_month_and_the_others_after_half_a_year():
    prices = load_prices()
    spot, other = prices["aws_c7i_large_eu_spot"], prices["aws_c7i_large_eu"]
    assert (spot.due - spot.reviewed).days == 30 and (other.due - other.reviewed).days == 180
    day = spot.due + timedelta(1)
    late = prices.overdue(day)
    assert "aws_c7i_large_eu_spot" in late and "aws_c7i_large_eu" not in late
    assert "overdue" in spot.marks(day) and "overdue" not in spot.marks(spot.due)
    assert not {name for name in prices.overdue(date(2999, 1, 1)) if prices[name].kind == "assumption"}


def test_doubt_is_said():
    prices = load_prices()
    assert "low confidence" in prices["aws_logs"].marks()
    assert "undated" in prices["aws_c7i_large_eu"].marks()
    assert "assumption" in prices["edge_box"].marks()
    assert prices["gcp_logs"].marks(prices["gcp_logs"].reviewed) == ""


def test_amount_insists_on_the_unit_and_converts_both_ways_at_the_lists_rate():
    prices = load_prices()
    rate = prices.amount("usd_in_eur", "EUR/USD")
    assert prices.amount("aws_c7i_large_eu", "EUR/h") == pytest.approx(prices["aws_c7i_large_eu"].value * rate)
    assert prices.amount("azure_d2a_v4_eu", "USD/h") == pytest.approx(prices["azure_d2a_v4_eu"].value / rate)
    assert prices.usd(rate) == pytest.approx(1)
    with pytest.raises(PriceError, match="electricity is in EUR/kWh, not in EUR/h"):
        prices.amount("electricity", "EUR/h")
    with pytest.raises(PriceError, match=r"no price 'gold'; it has .*electricity"):
        prices.amount("gold", "EUR")
    assert "gold" not in prices and "electricity" in prices
    with pytest.raises(ValueError, match="a price has no colour"):
        prices.select(colour="red")


def test_the_readers_own_price_replaces_one_number_and_nothing_else():
    prices = load_prices()
    mine = prices.with_values(electricity=0.35)
    assert mine.amount("electricity", "EUR/kWh") == 0.35
    assert prices.amount("electricity", "EUR/kWh") != 0.35
    assert set(mine) == set(prices) and mine["edge_box"] == prices["edge_box"]
    with pytest.raises(ValueError, match="greater than 0"):
        prices.with_values(electricity=-1)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d["prices"]["electricity"].pop("source"), r"electricity\.source"),
        (lambda d: d["prices"]["electricity"].pop("as_of"), r"electricity\.as_of"),
        (lambda d: d["prices"]["electricity"].update(as_of="lately"), r"electricity\.as_of"),
        (lambda d: d["prices"]["electricity"].pop("reviewed"), r"electricity\.reviewed"),
        (lambda d: d["prices"]["electricity"].update(value=0), r"electricity\.value"),
        (lambda d: d["prices"]["electricity"].update(kind="guess"), r"electricity\.kind"),
        (lambda d: d["prices"]["electricity"].update(group="gold"), r"electricity\.group"),
        (lambda d: d["prices"]["electricity"].update(confidence="total"), r"electricity\.confidence"),
        (lambda d: d["prices"]["electricity"].update(cheap=True), r"electricity\.cheap"),
        (lambda d: d["prices"]["electricity"].update(source="a friend"), r"electricity\.source: 'a friend' is not"),
        (lambda d: d["sources"]["ecb"].update(read_at="a friend"), r"ecb\.read_at"),
        (lambda d: d.update(prices=[1]), "correct it"),
        (lambda d: d.pop("sources"), "'sources' and 'prices'"),
    ],
)
def test_a_wrong_list_is_refused_by_file_and_field(tmp_path, change, says):
    data = yaml.safe_load(PRICES.read_text())
    change(data)
    path = tmp_path / "prices.yaml"
    path.write_text(yaml.safe_dump(data))
    with pytest.raises(PriceError, match=says) as error:
        load_prices(path)
    assert str(path) in str(error.value)


def test_a_missing_or_broken_list_is_refused(tmp_path):
    with pytest.raises(PriceError, match="no such file"):
        load_prices(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(PriceError, match="not readable"):
        load_prices(tmp_path / "bad.yaml")


def test_prices_can_be_built_by_hand_for_a_what_if():
    assert len(Prices({})) == 0
    assert "query" in Price.model_fields
