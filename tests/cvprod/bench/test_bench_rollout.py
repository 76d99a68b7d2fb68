"""The roll-out benchmark: its promises are judged by rows, and wrong use is said before anything starts."""

import pytest

from cvprod.bench import __main__, rollout


def row(scenario, decision, failed=0):
    return rollout.Row(scenario, decision, 1.0, failed, 10)


def test_promises():
    fine = [row("blue-green", "switched"), row("canary, bad", "rolled back"), row("canary, good", "promoted")]
    assert rollout.faults(fine) == []
    assert rollout.faults([row("blue-green", "switched", 1)]) == ["blue-green: 1 requests failed"]
    assert "bad version was promoted" in rollout.faults([row("canary, bad", "promoted")])[0]
    assert "only 0 of 1" in rollout.faults([row("canary, good", "given up")])[0]
    assert rollout.faults([row("canary, bad", "given up")]) == [], "what is not proven goes back"
    assert rollout.faults([row("simulated, 5 points lost", "shipped")])
    assert rollout.faults([row("simulated, 0 points lost", "stopped")])


def test_simulated_rows_keep_their_promises():
    rows = rollout.simulated(300)
    assert [r.scenario for r in rows][:2] == ["simulated, 0 points lost", "simulated, 2 points lost"]
    assert rollout.faults(rows) == [] and all(r.labels > 0 for r in rows)


@pytest.mark.parametrize(
    "words", [["--tiles", "10"], ["--streams", "5"], ["--bad", "-1"], ["--json", "/no/where.json"]]
)
def test_wrong_use_is_said_first(words, capsys):
    assert __main__.main(["rollout", *words]) == 2
    assert words[0] in capsys.readouterr().err
