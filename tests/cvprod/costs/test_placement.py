"""Edge or cloud: the calculators agree with arithmetic done by hand."""

import math

import numpy as np
import pytest

from cvprod.costs import Network, cloud, edge, eur_per_million, load_prices, simulate_rows
from cvprod.costs.placement import CLOUD_VM, USED, fibre_rtt_ms, needed_mbit_per_s


def test_what_the_calculator_says_it_uses_is_all_it_uses():
    """Without any one of them it fails, and with them alone it works."""
    prices = load_prices()
    assert set(USED) <= set(prices)
    some = type(prices)({name: prices[name] for name in USED})
    network = Network(20, 100)
    assert cloud(some, network, tile_bytes=1e4, **NEEDS) == cloud(prices, network, tile_bytes=1e4, **NEEDS)
    assert edge(some, **NEEDS) == edge(prices, **NEEDS)


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
    assert place.eur_per_year == pytest.approx(3 * prices.amount(CLOUD_VM, "EUR/h") * 7000)
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


def test_more_machines_than_needed_cost_so_many_times_one():
    one, six = (edge(load_prices(), **NEEDS | {"tiles_per_s": 400.0}, machines=n) for n in (1, 6))
    assert six.machines == 6 and six.eur_per_year == pytest.approx(6 * one.eur_per_year)
    rented = {"tile_bytes": 10_000, **NEEDS, "tiles_per_s": 400.0}
    one, six = (cloud(load_prices(), Network(20, 100), **rented, machines=n) for n in (1, 6))
    assert six.eur_per_million == pytest.approx(6 * one.eur_per_million)


ROWS = {"rows_per_s": 10.0, "tiles_across": 12, "rows": 500}


def test_rows_by_hand():
    """Of equal times the n-th tile of a box waits for those before it, and a box with room starts every row empty."""
    ms = simulate_rows([0.004], boxes=1, workers=1, **ROWS) * 1e3
    assert ms.reshape(-1, 12) == pytest.approx(np.tile(4.0 * np.arange(1, 13), (500, 1)))
    two = simulate_rows([0.004], boxes=2, workers=3, **ROWS) * 1e3
    assert two.reshape(-1, 12) == pytest.approx(np.tile([4.0] * 6 + [8.0] * 6, (500, 1)))
    assert simulate_rows([0.004], boxes=12, workers=1, **ROWS) * 1e3 == pytest.approx(4.0)


def test_a_row_that_is_not_done_delays_the_next():
    ms = simulate_rows([0.0083], boxes=1, workers=1, **ROWS).reshape(-1, 12) * 1e3
    assert ms[:, 0] == pytest.approx(8.3)  # 12 tiles take 99.6 ms of 100
    uneven = simulate_rows([0.001, 0.0155], boxes=1, workers=1, **ROWS).reshape(-1, 12)
    assert uneven[:, 0].max() > 0.0155 + 1e-9  # the same mean, but some rows run over


def test_random_arrivals_are_not_needed_for_a_known_queue():
    """Rows of one tile are the queue D/M/1. Mean wait: s d / (1 - d), where d = exp(-(1 - d) a / s)."""
    service = np.random.default_rng(1).exponential(0.07, 20_000)
    found = simulate_rows(service, rows_per_s=10, tiles_across=1, boxes=1, rows=60_000, seed=2).mean()
    delta = 0.5
    for _ in range(200):
        delta = math.exp(-(1 - delta) * 0.1 / 0.07)
    assert found == pytest.approx(0.07 + 0.07 * delta / (1 - delta), rel=0.05)


def test_boxes_with_more_to_do_than_they_can_have_no_latency():
    assert np.isinf(simulate_rows([0.0084], boxes=1, workers=1, **ROWS)).all()
    assert np.isfinite(simulate_rows([0.0084], boxes=1, workers=2, **ROWS)).all()


@pytest.mark.parametrize(("service", "wrong"), [([], {}), ([0.0], {}), ([math.inf], {}), ([0.01], {"boxes": 0})])
def test_rows_that_cannot_be_simulated_are_refused(service, wrong):
    with pytest.raises(ValueError, match=r"above 0"):
        simulate_rows(service, **{"boxes": 1, **ROWS, **wrong})
