"""Costs: the price list is dated and sourced, and the calculators agree with arithmetic done by hand."""

import math
from datetime import date

import pytest
import yaml

from cvprod.costs import Network, PriceError, Prices, cloud, edge, eur_per_million, load_prices
from cvprod.costs.placement import fibre_rtt_ms, needed_mbit_per_s
from cvprod.costs.prices import PRICES


def test_every_number_has_a_source_a_unit_and_a_day_that_has_come():
    prices = load_prices()
    assert len(prices) >= 6
    for name, price in prices.items():
        assert price.as_of <= date.today(), name
        assert price.source and price.unit
        assert price.kind == "assumption" or price.read_at.startswith("https://"), name


def test_amount_insists_on_the_unit_and_converts_dollars_at_the_lists_rate():
    prices = load_prices()
    rate = prices.amount("usd_in_eur", "EUR/USD")
    assert prices.amount("cloud_vm_2vcpu", "EUR/h") == pytest.approx(prices.amount("cloud_vm_2vcpu", "USD/h") * rate)
    with pytest.raises(PriceError, match="electricity is in EUR/kWh, not in EUR/h"):
        prices.amount("electricity", "EUR/h")
    with pytest.raises(PriceError, match=r"no price 'gold'; it has .*electricity"):
        prices.amount("gold", "EUR")
    assert "gold" not in prices and "electricity" in prices


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
        (lambda d: d["electricity"].pop("source"), r"electricity\.source"),
        (lambda d: d["electricity"].pop("as_of"), r"electricity\.as_of"),
        (lambda d: d["electricity"].update(value=0), r"electricity\.value"),
        (lambda d: d["electricity"].update(kind="guess"), r"electricity\.kind"),
        (lambda d: d["electricity"].update(cheap=True), r"electricity\.cheap"),
        (lambda d: d["electricity"].update(read_at="a friend"), r"electricity\.read_at"),
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


def test_a_million_tiles():
    assert eur_per_million(0.36, 100) == pytest.approx(1.0)  # 360,000 tiles an hour for 0.36 EUR
    with pytest.raises(ValueError, match="tiles_per_s > 0"):
        eur_per_million(1, 0)


def test_the_network_adds_upload_and_round_trip():
    network = Network(rtt_ms=20, uplink_mbit_per_s=8)
    assert network.added_ms(10_000) == pytest.approx(10 + 20)
    assert needed_mbit_per_s(100, 10_000) == pytest.approx(8)
    assert network.carries(100, 10_000) and not network.carries(101, 10_000)
    assert fibre_rtt_ms(1000) == pytest.approx(10)
    with pytest.raises(ValueError, match="rtt_ms"):
        Network(-1, 10)


NEEDS = {"p99_ms": 2.0, "tiles_per_s": 150.0, "needed_tiles_per_s": 321.0, "hours_per_year": 7000}


def test_edge_by_hand():
    prices = load_prices()
    place = edge(prices, **NEEDS)
    value = {name: price.value for name, price in prices.items()}
    a_box = value["edge_box"] / value["edge_box_life"] + value["edge_box_upkeep"]
    a_box += value["edge_box_power"] * 7 * value["electricity"]  # 7000 h of so many watts
    assert place.machines == 3 and place.p99_ms == 2 and place.uplink_mbit_per_s == 0
    assert place.eur_per_year == pytest.approx(3 * a_box)
    assert place.eur_per_million * 321 * 3600 * 7000 / 1e6 == pytest.approx(place.eur_per_year)


def test_cloud_by_hand_and_it_is_never_faster_than_its_network():
    prices = load_prices()
    network = Network(rtt_ms=20, uplink_mbit_per_s=100)
    place = cloud(prices, network, tile_bytes=10_000, **NEEDS)
    assert place.machines == 3 and place.p99_ms == pytest.approx(2 + 0.8 + 20)
    assert place.eur_per_year == pytest.approx(3 * prices.amount("cloud_vm_2vcpu", "EUR/h") * 7000)
    assert place.uplink_mbit_per_s == pytest.approx(321 * 80_000 / 1e6)


def test_no_answer_comes_over_a_link_that_cannot_carry_the_stream():
    needed = needed_mbit_per_s(NEEDS["needed_tiles_per_s"], 10_000)
    for uplink, arrives in ((needed, True), (0.99 * needed, False)):
        place = cloud(load_prices(), Network(20, uplink), tile_bytes=10_000, **NEEDS)
        assert math.isfinite(place.p99_ms) == arrives and math.isfinite(place.eur_per_year)


def test_an_exactly_sufficient_machine_is_not_doubled():
    assert edge(load_prices(), **NEEDS | {"tiles_per_s": 321.0}).machines == 1
    assert edge(load_prices(), **NEEDS | {"tiles_per_s": 320.9}).machines == 2


@pytest.mark.parametrize("wrong", [{"tiles_per_s": 0}, {"needed_tiles_per_s": -1}, {"hours_per_year": 9000}])
def test_impossible_demands_are_refused(wrong):
    with pytest.raises(ValueError, match=r"positive|hours per year"):
        edge(load_prices(), **NEEDS | wrong)


def test_prices_can_be_built_by_hand_for_a_what_if():
    assert len(Prices({})) == 0
