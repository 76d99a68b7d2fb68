"""Functions by the call, against the billing rules by hand."""

import pytest

from cvprod.costs.serverless import LAMBDA_GB, azure_call, cold_start_in_tiles, functions, lambda_call, run_call


def test_lambda_by_hand(prices):
    rate = prices["usd_in_eur"].value
    one = lambda_call(prices, "us", 3.4)
    assert one.eur_per_million == pytest.approx((0.004 * LAMBDA_GB * 16.6667 + 0.20) * rate, rel=1e-6)
    assert one.fee_share == pytest.approx(0.20 * rate / one.eur_per_million)
    assert lambda_call(prices, "us", 4.0).eur_per_million == one.eur_per_million, "billed by whole milliseconds"
    assert lambda_call(prices, "us", 4.01).eur_per_million > one.eur_per_million


def test_sixteen_tiles_share_one_fee(prices):
    one, many = lambda_call(prices, "eu", 5), lambda_call(prices, "eu", 60, tiles=16)
    assert many.fee_per_million == pytest.approx(one.fee_per_million / 16)
    assert many.eur_per_million < one.eur_per_million / 2


def test_azure_bills_a_tenth_of_a_second_at_least(prices):
    assert azure_call(prices, 3).eur_per_million == azure_call(prices, 99).eur_per_million
    assert azure_call(prices, 140).eur_per_million > azure_call(prices, 99).eur_per_million


def test_cloud_run_by_hand(prices):
    rate = prices["usd_in_eur"].value
    made = run_call(prices, "eu", 1000.0)
    assert made.eur_per_million == pytest.approx((1e3 * (2 * 0.0000336 + 0.0000035) + 0.4) * rate)


def test_a_cold_start_in_tiles(prices):
    tiles = cold_start_in_tiles(prices, "us", 1200.0, 5.0)
    start = 1.2 * LAMBDA_GB * 0.0000166667
    assert tiles == pytest.approx(start / (0.005 * LAMBDA_GB * 0.0000166667 + 2e-7))
    assert 80 < tiles < 110


def test_every_cloud_has_one_for_each_measured_call(prices, speed):
    found = functions(prices, speed.call_ms, speed.tiles_per_s)
    assert {f.provider for f in found} == {"aws", "gcp", "azure"} and {f.tiles for f in found} == {1, 16}
    with pytest.raises(ValueError, match="more than 0 ms"):
        lambda_call(prices, "eu", 0)
