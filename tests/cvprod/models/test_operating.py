"""Operating points: the curve against counting, and the choice against trying every threshold."""

import numpy as np
import pytest

from cvprod import surface
from cvprod.measure import wilson
from cvprod.models import Evaluation
from cvprod.models.operating import choose, det, shifted, with_clean


def judged(n=400, seed=0, **options):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 7, n)
    logits = rng.normal(size=(n, 7)).astype(np.float32)
    logits[np.arange(n), labels] += 1.5
    return Evaluation(logits, labels, **options)


def test_every_point_of_the_curve_is_what_counting_at_its_shift_finds():
    test = judged()
    shifts, rejects, misses = det(test)
    assert (np.diff(shifts) >= 0).all() and (np.diff(rejects) <= 0).all() and (np.diff(misses) >= 0).all()
    assert (rejects[0], misses[0]) == (1, 0) and (rejects[-1], misses[-1]) == (0, 1)
    for i in range(0, len(shifts), 37):
        there = shifted(test, shifts[i])
        assert there.false_reject_rate == pytest.approx(rejects[i])
        assert 1 - there.defect_recall == pytest.approx(misses[i])


def test_no_shift_is_the_largest_logit_and_the_original_keeps_its_logits():
    test = judged()
    before = test.logits.copy()
    assert np.array_equal(shifted(test, 0.0).confusion, test.confusion)
    shifted(test, 5.0)
    assert np.array_equal(test.logits, before)


def strain(test, shift):
    """The worse of the two limits, by the upper end of its interval."""
    there = shifted(test, float(shift))
    hits, defects = there.counts("defect_recall")
    missed = wilson(defects - hits, defects)[1]
    return max(there.interval("false_reject_rate")[1] / 0.1, missed / 0.3)


def test_the_chosen_shift_strains_its_worse_limit_no_more_than_any_other():
    test = judged()
    chosen = strain(test, choose(test, false_rejects=0.1, misses=0.3))
    assert all(chosen <= strain(test, shift) + 1e-12 for shift in np.linspace(-8, 8, 321))


def test_a_stricter_limit_on_misses_calls_more_tiles_defects():
    test = judged()
    assert choose(test, false_rejects=0.1, misses=0.01) < choose(test, false_rejects=0.1, misses=0.5)


def test_what_cannot_be_traded_is_refused():
    with pytest.raises(ValueError, match="no class is called clean"):
        det(judged(clean=None))
    with pytest.raises(ValueError, match="one of the two is missing"):
        det(Evaluation(np.zeros((3, 7), np.float32), np.ones(3, np.int64)))
    with pytest.raises(ValueError, match="above 0"):
        choose(judged(), false_rejects=0, misses=0.1)


def test_added_tiles_are_clean_and_ones_own_images_stay_alone():
    some = surface.make_set(14, seed=3)
    more = with_clean(some, 20, seed=4)
    assert len(more.labels) == len(more.images) == len(more.boxes) == 34
    assert np.array_equal(more.images[:14], some.images) and set(more.labels[14:]) == {surface.CLASSES.index("clean")}
    own = surface.TileSet(some.images, some.labels, some.boxes, files=["a.png"] * 14)
    assert with_clean(own, 20, seed=4) is own
