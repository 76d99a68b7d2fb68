"""What capstone 4 draws: the same for a seed everywhere, with the names of the book's service, and as its text says."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from cvprod.exercises import oncall
from cvprod.exercises.promql import QueryError, query
from cvprod.monitoring import monitor
from cvprod.serving import logs, metrics, resources


def test_a_week_has_every_fault_once_and_three_that_are_none():
    for seed in range(4):
        week = oncall.week(seed)
        assert len(week) == 12
        kinds = Counter(one.kind for one in week)
        assert max(kinds.values()) == 1 and set(oncall.SERVICE + oncall.LINE) < set(kinds)
        assert sum(one.action == "nothing" for one in week) == 3


def test_same_seed_draws_the_same_incident():
    one, again, other = (oncall.incident("replace", seed) for seed in (3, 3, 4))
    assert one == again and one != other
    assert repr(oncall.bills(3)) == repr(oncall.bills(3)) and oncall.nights(3) == oncall.nights(3)


def test_names_are_those_of_the_service():
    """A series, an event or a field that the service does not write would teach a query that finds nothing."""
    known = "".join(Path(module.__file__).read_text() for module in (metrics, resources, monitor))
    fields = {"time", "level", "pid", "error", *logs._KEPT}
    for kind in (*oncall.SERVICE, *oncall.LINE, *oncall.HARMLESS):
        data = oncall.incident(kind, 1).data
        for name in data.metrics:
            stem = re.sub(r"_(total|bucket|sum|count)$", "", name)
            assert name in ("up", "inspection:cost:eur_per_hour") or f'"{stem}"' in known or f'"{name}"' in known, name
        assert {field for _, _, line in data.logs for field in line} <= fields
    assert metrics.SECONDS == oncall._BUCKETS


def test_what_is_missed_and_what_is_always_done_costs_what_the_exercise_says():
    assert oncall.month([], oncall.SERVICE, range(3))[0] == 7500
    assert oncall.month([], oncall.LINE, range(3))[0] == 6000
    for action in oncall.SERVICE:
        assert oncall.month([("vector(1)", action)], oncall.SERVICE, range(3))[0] > 7500

    def policy(alert):
        chance = (sum(alert["past"]) + 0.7) / (len(alert["past"]) + 2)
        return chance * max(0, alert["hours"] - 0.5) * alert["lost_per_hour"] * alert["eur_each"] > 200

    ours, always, never = (
        np.mean([oncall.night(wake, s) for s in range(5)]) for wake in (policy, lambda a: True, lambda a: False)
    )
    assert 2 * ours < min(always, never)


def test_rule_fires_on_a_series_and_on_nothing_else():
    data = oncall.quiet(1).data
    assert oncall.answer([("sum(up) > 9", "replace"), ("sum(up)", "retrain")], data) == ("retrain", "sum(up)")
    assert oncall.answer([("1 + 1", "retrain"), ("vector(0) / 0", "retrain")], data) == ("nothing", "")
    with pytest.raises(QueryError, match="none of the actions"):
        oncall.answer([("sum(up)", "panic")], data)
    with pytest.raises(ValueError, match="there are roll back"):
        oncall.incident("flood", 1)


def test_an_incident_of_somebody_else_is_left_alone():
    one = oncall.incident("retrain", 1)
    assert oncall.euros("nothing", one, oncall.SERVICE) == 0 == oncall.euros("retrain", one, oncall.LINE)
    assert oncall.euros("replace", one, oncall.SERVICE) == oncall.WOKEN + oncall.ACTIONS["replace"]
    assert oncall.euros("mend camera", one, oncall.LINE) == oncall.WOKEN + 3000 + oncall.MISSED


def test_a_quiet_night_keeps_the_contract():
    for seed in range(5):
        data = oncall.quiet(seed).data
        slow = (
            '1 - sum(rate(cvprod_request_seconds_bucket{le="0.01"}[1h])) / sum(rate(cvprod_request_seconds_count[1h]))'
        )
        cost = "inspection:cost:eur_per_hour / on () (sum(increase(cvprod_batch_images_sum[3h])) / 3 / 1e6)"
        ((_, share),), ((_, euros),) = query(slow, data, oncall.NOW), query(cost, data, oncall.NOW)
        assert share < 0.01 and euros < 0.1
