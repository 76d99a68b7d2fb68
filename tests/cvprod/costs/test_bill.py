"""Bills reconcile to the price list to the cent, and a life cycle costs what its months say."""

import re

import pytest

from cvprod.costs.bill import PROVIDERS, Traffic, balancer_units, line, monthly, storage, total

MONTH = Traffic(322.0, 583.0, 2, tile_bytes=12_000, answer_bytes=400, log_bytes=200)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_line_is_a_quantity_times_a_price_and_the_total_is_their_sum(prices, provider):
    lines = monthly(prices, provider, MONTH)
    rate = prices["usd_in_eur"].value
    cents = 0
    for one in lines:
        price = prices[one.price]
        in_eur = price.value * (rate if price.unit.startswith("USD") else 1)
        assert one.eur == round(one.quantity * in_eur, 2), one
        cents += round(one.eur * 100)
    assert round(total(lines) * 100) == cents


def test_aws_by_hand(prices):
    lines = {one.what: one for one in monthly(prices, "aws", MONTH)}
    tiles = 322 * 3600 * 583
    assert lines["machines"].quantity == 2 * 730
    assert lines["egress"].quantity == pytest.approx(tiles * 400 / 1e9)
    assert lines["logs"].quantity == pytest.approx(tiles * 200 / 1e9)
    assert lines["pictures kept"].quantity == pytest.approx(tiles * 12_000 / 1e9 * 0.01 * 3)
    assert lines["balancer units"].quantity == pytest.approx(322 * 3600 * 12_400 / 1e9 * 583)
    rested = Traffic(322.0, 583.0, 2, 12_000, 400, 200, always_on=False)
    assert {o.what: o for o in monthly(prices, "aws", rested)}["machines"].quantity == 2 * 583


def test_the_balancer_is_paid_by_its_highest_measure():
    assert balancer_units(Traffic(1.0, 1, 1, 100, 100, 1, connections_per_s=50)) == 2
    assert balancer_units(Traffic(1000.0, 1, 1, 900, 100, 1, connections_per_s=50)) == pytest.approx(3.6)


def test_what_is_no_price_or_no_provider_is_refused(prices):
    with pytest.raises(ValueError, match="no bill for 'ibm'"):
        monthly(prices, "ibm", MONTH)
    with pytest.raises(ValueError, match=re.escape("edge_box_power is in W: no price")):
        line(prices, "power", "edge_box_power", 1)
    with pytest.raises(ValueError, match="shares"):
        Traffic(1.0, 1, 1, 1, 1, 1, kept=2)
    with pytest.raises(ValueError, match="needs tiles_per_s"):
        Traffic(1.0, 800, 1, 1, 1, 1)


def test_a_life_cycle_by_hand_and_cheaper_than_none(prices):
    rate = prices["usd_in_eur"].value
    made = storage(prices, "aws", 100, {"standard": 1, "infrequent": 2, "archive": 9})
    assert made == pytest.approx(100 * (0.023 + 2 * 0.0125 + 9 * 0.00099) * rate)
    for provider in PROVIDERS:
        assert storage(prices, provider, 1, {"standard": 1, "archive": 11}) < storage(
            prices, provider, 1, {"standard": 12}
        )
    with pytest.raises(ValueError, match="negative"):
        storage(prices, "aws", -1, {})
