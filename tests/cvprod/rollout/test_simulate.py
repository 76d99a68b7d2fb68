"""Streams with the rates that were asked for, and gates that do with them what they say."""

import numpy as np
import pytest

from cvprod.rollout import simulate


@pytest.fixture(scope="module")
def board():
    judges = {
        "clock": lambda given: simulate.threshold(given, per_check=10),
        "peeking": simulate.peeking,
        "evidence": simulate.betting,
    }
    return simulate.compare(judges, [0, 0.02, 0.05], n=300, length=3000).set_index(["gate", "drop"])


def test_streams_have_the_rates_asked_for():
    given = simulate.streams(0.05, 200, 2000, accuracy=0.95, flips=0.02, seed=1)
    assert given.stable.mean() == pytest.approx(0.95, abs=0.003)
    assert given.canary.mean() == pytest.approx(0.90, abs=0.003)
    assert (given.d == 1).mean() == pytest.approx(0.07, abs=0.003)
    assert (given.d == -1).mean() == pytest.approx(0.02, abs=0.003)
    assert not (given.agree & (given.d != 0)).any(), "those who agree fare alike"
    assert (given.d == 0)[~given.agree].mean() > 0.05, "and some disagree and are both wrong"
    with pytest.raises(ValueError, match="no such version"):
        simulate.streams(0.99)


def test_the_clock_ships_bad_versions_and_evidence_does_not(board):
    assert board.loc[("clock", 0.05), "shipped"] > 0.8
    assert board.loc[("evidence", 0.05), "shipped"] == 0
    assert board.loc[("evidence", 0.02), "shipped low"] < 0.05, "worse by the margin: at most beta"


def test_peeking_stops_good_versions_and_evidence_seldom(board):
    assert board.loc[("peeking", 0), "stopped"] > 0.15
    assert board.loc[("evidence", 0), "stopped low"] < 0.05


def test_only_disagreements_cost_a_label():
    given = simulate.streams(0.05, 50, 500, seed=2)
    found = simulate.betting(given)
    by_hand = [int((~row[:n]).sum()) for row, n in zip(given.agree, found.pairs, strict=True)]
    assert found.labels.tolist() == by_hand and (found.labels < found.pairs).all()


def test_a_gate_ships_or_stops_or_holds():
    short = simulate.betting(simulate.streams(0.01, 100, 60, seed=3))
    assert not (short.shipped & short.stopped).any()
    held = ~(short.shipped | short.stopped)
    assert held.mean() > 0.8 and (short.pairs[held] == 60).all()


def test_threshold_by_hand():
    canary = np.array([[True] * 10, [False] * 10, [True, False] * 5])
    given = simulate.Streams(np.ones_like(canary), canary, np.ones_like(canary))
    found = simulate.threshold(given, per_check=2, limit=0.6, failures=2, checks=5)
    assert found.stopped.tolist() == [False, True, True] and found.pairs.tolist() == [10, 4, 4]


def test_seconds_of_an_audit():
    assert simulate.audit_seconds(322, 322, 1) == 1
    assert simulate.audit_seconds(322, 322, 0.01) == pytest.approx(100)
    for rate, share in ((322, 0), (322, 1.5), (0, 1)):
        with pytest.raises(ValueError, match="audit needs"):
            simulate.audit_seconds(10, rate, share)
