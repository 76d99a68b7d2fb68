"""A month of the stacks in terraform/: sizes from their variables, prices from the list, and a budget that fits."""

import re

import pytest

from cvprod.contract import load_contract
from cvprod.costs import bill, load_prices, readme, stack
from cvprod.repo import ROOT

PRICES = load_prices()


@pytest.mark.parametrize("provider", stack.CLOUDS)
def test_every_line_is_its_quantity_times_its_price_to_the_cent(provider):
    lines = stack.monthly(PRICES, provider, readme.month())
    for one in lines:
        assert PRICES[one.price].provider == provider
        assert one.eur == round(one.quantity * PRICES.amount(one.price, f"EUR/{one.unit}"), 2)
    assert bill.total(lines) == pytest.approx(sum(one.eur for one in lines), abs=0.005)


@pytest.mark.parametrize("provider", stack.CLOUDS)
def test_the_budget_lets_the_stack_live_and_not_much_more(provider):
    month = PRICES.usd(bill.total(stack.monthly(PRICES, provider, readme.month())))
    assert month <= stack.default(provider, "monthly_budget") <= 2 * month


def test_a_dearer_price_and_another_size_reach_the_readme():
    dearer = PRICES.with_values(aws_endpoint=0.02)
    assert readme.part("stack aws", dearer) != readme.part("stack aws", PRICES)
    assert readme.part("stack gcp", dearer) == readme.part("stack gcp", PRICES)


def test_the_number_of_endpoints_and_of_rules_is_that_of_the_stacks():
    network = (ROOT / "terraform/aws/network.tf").read_text()
    services = re.search(r"toset\(\[(.*?)\]\)", network)[1].split(",")
    zones = int(re.search(r'"private" \{\n  count += (\d)', network)[1])
    assert len(services) * zones == stack.ENDPOINTS
    balancer = (ROOT / "terraform/gcp/balancer.tf").read_text()
    assert len(re.findall(r'\n  (?:dynamic "rule"|rule) \{', balancer)) == stack.FIREWALL_RULES


def test_a_request_holds_the_tiles_that_cover_the_strip():
    contract = load_contract()
    tiles = stack.row(contract)
    tile_mm = contract.line.tile_pixels * contract.line.mm_per_pixel
    assert (tiles - 1) * tile_mm < contract.line.strip_width_mm <= tiles * tile_mm


def test_what_is_not_there_is_named():
    with pytest.raises(ValueError, match="no stack for 'ovh'"):
        stack.monthly(PRICES, "ovh", readme.month())
    with pytest.raises(ValueError, match="no number as the default of 'region'"):
        stack.default("aws", "region")
