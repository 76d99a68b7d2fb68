"""A measured relation is judged, measured again, and told as what it is."""

import pytest

from cvprod import claims


@pytest.fixture
def shown(monkeypatch):
    notes = []
    monkeypatch.setattr("IPython.display.display", lambda made: notes.append(made.data))
    return notes


def faster(a, b):
    return a < b


RELATION = "{a:.1f} ms < {b:.1f} ms"


@pytest.mark.parametrize("mode", claims.MODES)
def test_what_holds_is_told_as_such_and_measured_once(monkeypatch, shown, mode):
    monkeypatch.setenv(claims.MODE, mode)
    held = claims.holds(RELATION, faster, {"a": 1, "b": 2}, again=lambda: pytest.fail("not needed"))
    assert held and held.tries == 1 and held.relation == "1.0 ms < 2.0 ms" and held.tell("yes", "no") == "yes"
    assert not shown


def test_what_does_not_hold_is_measured_again_a_bounded_number_of_times(monkeypatch, shown):
    monkeypatch.delenv(claims.MODE, raising=False)
    taken = []

    def measure():
        taken.append(1)
        return {"a": 3 - len(taken), "b": 1.5}

    assert claims.holds(RELATION, faster, measure).tries == 2 and len(taken) == 2
    taken.clear()
    held = claims.holds(RELATION, lambda a, b: False, measure, tries=3)
    assert not held and held.tell("yes", "no") == "no" and len(taken) == 3
    assert len(shown) == 1 and "0.0 ms &lt; 1.5 ms (measured 3 times)" in shown[0]


@pytest.mark.parametrize(
    ("mode", "undisturbed", "fails"),
    [("reader", True, False), ("strict", True, True), ("strict", False, False), ("publish", False, True)],
)
def test_only_a_strict_run_fails_and_a_disturbed_one_is_not_published(monkeypatch, shown, mode, undisturbed, fails):
    monkeypatch.setenv(claims.MODE, mode)
    monkeypatch.setattr(claims.measure, "undisturbed", lambda: undisturbed)
    if fails:
        with pytest.raises(AssertionError, match=r"2\.0 ms < 1\.0 ms"):
            claims.holds(RELATION, faster, {"a": 2, "b": 1})
        assert not shown
    else:
        assert not claims.holds(RELATION, faster, {"a": 2, "b": 1})
        assert len(shown) == 1


def test_nothing_that_was_not_measured_holds(shown):
    assert not claims.holds(RELATION, lambda a, b: True, {"a": float("nan"), "b": 1})
    with pytest.raises(ValueError, match="names b, which was not measured"):
        claims.holds(RELATION, faster, {"a": 1})
    with pytest.raises(ValueError, match="at least one try"):
        claims.holds(RELATION, faster, {"a": 1, "b": 2}, tries=0)


def test_a_mode_that_is_none_is_refused(monkeypatch):
    monkeypatch.setenv(claims.MODE, "sometimes")
    with pytest.raises(ValueError, match="reader, strict, publish"):
        claims.holds(RELATION, faster, {"a": 2, "b": 1})
