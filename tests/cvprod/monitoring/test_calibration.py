"""Thresholds keep the rate that they state: on simulated windows, and the shipped ones on windows of their own."""

import numpy as np
import pytest

from cvprod.contract import load_contract
from cvprod.measure import wilson
from cvprod.monitoring import __main__ as command
from cvprod.monitoring import calibration
from cvprod.monitoring.detectors import DETECTORS
from cvprod.serving.card import read
from cvprod.serving.settings import DEFAULT_MODEL

K = len(DETECTORS)


def scores(n, seed, correlation=0.6):
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(n, 1))
    return correlation * common + np.sqrt(1 - correlation**2) * rng.normal(size=(n, K))


@pytest.mark.parametrize("correlation", [0.0, 0.6, 1.0])
def test_the_family_keeps_the_stated_rate_on_windows_that_set_no_limit(correlation):
    made = calibration.set_limits(scores(4000, 1, correlation), 2.0, 100.0)
    rate = made.over(scores(40_000, 2, correlation)).any(1).mean()
    assert 0.015 < rate < 0.025
    assert made.per_week(made.null) == pytest.approx(2.0, abs=0.15)


def test_limits_by_detector_alone_would_break_the_rate_and_bonferroni_waste_it():
    """Why all are set together: the two usual ways, on the same windows."""
    null, fresh = scores(8000, 3, 0.9), scores(40_000, 4, 0.9)
    ours = calibration.set_limits(null, 2.0, 100.0).over(fresh).any(1).mean()
    alone = (fresh > np.quantile(null, 0.98, axis=0)).any(1).mean()
    divided = (fresh > np.quantile(null, 1 - 0.02 / K, axis=0)).any(1).mean()
    assert alone > 1.5 * ours and divided < 0.75 * ours, (alone, ours, divided)


def test_few_windows_ties_and_nonsense_are_refused():
    with pytest.raises(ValueError, match="take at least 150"):
        calibration.set_limits(scores(100, 5), 2.0, 100.0)
    with pytest.raises(ValueError, match="no rate"):
        calibration.set_limits(scores(100, 5), 90.0, 100.0)
    with pytest.raises(ValueError, match="finite"):
        calibration.set_limits(np.full((200, K), np.nan), 2.0, 100.0)
    tied = np.zeros((200, K))
    tied[:30] = 1.0
    assert calibration.set_limits(tied, 2.0, 100.0).over(tied).any(1).sum() <= 4


def test_a_missing_score_is_an_alarm():
    made = calibration.set_limits(scores(400, 6), 2.0, 100.0)
    assert made.alarms({name: -9.0 for name in DETECTORS}) == []
    assert made.alarms({name: -9.0 for name in list(DETECTORS)[1:]}) == [next(iter(DETECTORS))]
    assert len(made.alarms(dict.fromkeys(DETECTORS, float("nan")))) == K
    assert made.over(np.full((1, K), np.nan)).all()
    assert made.p_value("mmd", 1e9) == 1 / 401 and made.p_value("mmd", -1e9) == 1


def test_the_shipped_baseline_keeps_its_rate_on_a_thousand_other_windows():
    baseline = calibration.load_baseline()
    made = baseline.thresholds(load_contract(), false_alarms_per_week=2.0)
    assert len(baseline.null) >= 500 and len(baseline.check) >= 500 and len(baseline.reference) >= 500
    hits = int(made.over(baseline.check).any(1).sum())
    low, high = (end * made.windows_per_week for end in wilson(hits, len(baseline.check)))
    assert low <= 2.0 <= high, f"{low:.2f} to {high:.2f} false alarms a week"


def test_the_shipped_baseline_is_that_of_the_served_model():
    card, _ = read(DEFAULT_MODEL)
    calibration.load_baseline(model=card.sha256)
    with pytest.raises(ValueError, match="another model"):
        calibration.load_baseline(model="0" * 64)


def test_a_baseline_comes_back_as_it_was_and_rubbish_is_named(tmp_path):
    baseline = calibration.load_baseline()
    baseline.save(tmp_path / "b.safetensors")
    again = calibration.load_baseline(tmp_path / "b.safetensors")
    assert (again.null == baseline.null).all() and again.about == baseline.about
    assert (again.reference.embeddings == baseline.reference.embeddings).all()
    (tmp_path / "x").write_bytes(b"not a baseline")
    for name in ("x", "missing"):
        with pytest.raises(ValueError, match="make one"):
            calibration.load_baseline(tmp_path / name)


def test_windows_are_disjoint_as_long_as_there_are_tiles():
    reference = calibration.load_baseline().reference
    some = calibration.windows(reference, 7, 0, size=300)
    assert [len(w) for w in some] == [300] * 7
    first = np.concatenate([w.embeddings for w in some[:3]])
    assert len(np.unique(first, axis=0)) >= 899  # two tiles of equal embedding may exist
    with pytest.raises(ValueError, match="draw more"):
        calibration.windows(reference, 1, 0, size=1001)


def test_numbers_that_cannot_be_are_refused_before_any_tile_is_made(tmp_path, capsys):
    for option in ("--pool", "--count", "--workers"):
        assert command.main(["calibrate", "--out", str(tmp_path / "b.safetensors"), option, "-1"]) == 2
        assert "at least 1" in capsys.readouterr().err
    assert command.main(["rules", "--folder", str(tmp_path / "new")]) == 0 and list((tmp_path / "new").glob("*.yml"))
