"""One box: its simulated rows against a real open loop, its evidence against the contract's own sums."""

import time

import cv2
import numpy as np
import pytest

from cvprod import costs
from cvprod.contract import load_contract
from cvprod.models import Evaluation
from cvprod.traffic import load
from cvprod.traffic.box import Box, inspector

JPEG = cv2.imencode(".jpg", np.full((224, 224), 128, np.uint8))[1]


def test_a_worker_decodes_resizes_and_classifies():
    seen = []

    def predict(images):
        seen.append(images)
        return np.eye(7, dtype=np.float32)[[3]]

    assert inspector(predict, JPEG)() == 3
    assert seen[0].shape == (1, 1, 96, 96) and seen[0].dtype == np.uint8 and abs(int(seen[0].mean()) - 128) < 3


def steady(seconds, workers=1):
    """A box whose tiles take so long, as if measured."""
    done = np.arange(1, 101) * seconds / workers
    return Box(lambda: time.sleep(seconds), workers, load.Load(done - seconds, done - seconds, done))


def test_boxes_are_planned_with_room():
    assert steady(0.01).rate == pytest.approx(100)
    assert steady(0.01).needed(80) == 1 and steady(0.01).needed(81) == 2


@pytest.mark.alone
def test_the_simulation_agrees_with_real_calls():
    line = load_contract().line
    box = steady(0.004)
    real = box.share(line, 2, seconds=0.8)  # six tiles of a row, of 4 ms and what a sleep takes longer
    simulated = box.simulated(line, 2).p50_ms
    assert simulated == pytest.approx(14.0, rel=0.01)
    assert 0.9 * simulated < real.p50_ms < 2 * simulated


def test_a_box_that_cannot_keep_up_has_no_latency_and_more_boxes_do():
    line = load_contract().line
    assert steady(0.004).simulated(line, 1) is None
    assert steady(0.004).simulated(line, 3).p99_ms < steady(0.004).simulated(line, 2).p99_ms


def test_evidence_names_every_limit_and_costs_what_so_many_boxes_cost():
    contract, prices = load_contract(), costs.load_prices()
    errors = Evaluation(np.eye(7, dtype=np.float32)[np.arange(70) % 7], np.arange(70) % 7)
    box = steady(0.01)
    way = load.Load(np.zeros(400), np.zeros(400), np.full(400, 0.02)).latency
    measured, doubts = box.evidence(contract, prices, way=way, errors=errors, size_bytes=2_000_000, memory_bytes=10**8)
    assert list(measured) == list(contract.limits())
    assert measured["model_size_mb"] == 2 and measured["memory_mb"] == 100 and measured["p99_latency_ms"] == 20
    boxes = box.needed(contract.tiles_per_s.limit)
    one = costs.edge(prices, p99_ms=1, tiles_per_s=1e9, needed_tiles_per_s=contract.tiles_per_s.limit,
                     hours_per_year=contract.line.hours_per_year)  # fmt: skip
    assert boxes == 5 and measured["cost_per_million_tiles_eur"] == pytest.approx(5 * one.eur_per_million)
    broken = {c.name for c in contract.check(measured, doubts) if c.status == "broken"}
    assert broken == {"p99_latency_ms", "tiles_per_s", "cost_per_million_tiles_eur"}
