"""Each dial changes one thing, to the byte; the concept dial changes no picture at all."""

import numpy as np
import pytest

from cvprod.monitoring import dials
from cvprod.serving.descriptors import NAMES, describe
from cvprod.surface import CLASSES


def test_a_tile_depends_on_seed_and_index_alone():
    long, labels = dials.draw("exposure", -1.0, 6, 5)
    short, _ = dials.draw("exposure", -1.0, 3, 5)
    assert (long[:3] == short).all() and long.shape == (6, 1, 96, 96) and len(labels) == 6


def test_workers_change_nothing():
    jobs = [("none", 0.0, 60, 5), ("blur", 1.0, 60, 6)]
    for (a, la), (b, lb) in zip(dials.draw_all(jobs), dials.draw_all(jobs, workers=2), strict=True):
        assert (a == b).all() and (la == lb).all()


def test_covariate_dials_leave_the_steel_and_its_labels_alone():
    _, quiet = dials.draw("none", 0.0, 12, 7)
    for name in ("exposure", "blur", "jpeg", "camera", "grade"):
        pictures, labels = dials.draw(name, dials.DIALS[name].severities[2], 12, 7)
        assert (labels == quiet).all()
        assert (pictures != dials.draw("none", 0.0, 12, 7)[0]).any()


def test_the_concept_changes_labels_and_not_one_byte():
    pictures, labels = dials.draw("none", 0.0, 60, 9)
    same, judged = dials.draw("concept", 1.0, 60, 9)
    assert (same == pictures).all()
    pitted, clean = CLASSES.index("pitted_surface"), CLASSES.index("clean")
    assert (labels == pitted).any() and (judged[labels == pitted] == clean).all()
    assert (judged[labels != pitted] == labels[labels != pitted]).all()
    half = dials.judged(np.full(1000, pitted), 0.5, 0)
    assert 400 < (half == clean).sum() < 600 and (dials.judged(labels, 0.0, 0) == labels).all()


def test_the_mix_is_the_one_that_is_asked_for():
    for name, expected in (("none", dials.PRIOR), ("prior", dials.DIALS["prior"].prior(0.4))):
        assert sum(expected) == pytest.approx(1)
        rng = [np.random.Generator(np.random.PCG64((3, i, 8))).random() for i in range(3000)]
        drawn = np.bincount(np.searchsorted(np.cumsum(expected), rng, side="right"), minlength=7) / 3000
        assert drawn == pytest.approx(expected, abs=0.03), name
    assert dials.DIALS["prior"].prior(0.4)[6] == 0.4


def test_half_of_a_mixed_grade_is_of_the_old_one():
    pictures, _ = dials.draw("grade", 0.5, 16, 11)
    quiet, _ = dials.draw("none", 0.0, 16, 11)
    same = (pictures == quiet).all((1, 2, 3)).sum()
    assert 3 <= same <= 13


@pytest.mark.parametrize(
    ("job", "says"),
    [
        (("fog", 1.0, 5, 0), "no dial called 'fog'; known: none"),
        (("blur", 1.0, 0, 0), "at least 1"),
        (("blur", float("nan"), 5, 0), "a number"),
        (("jpeg", 500, 5, 0), "jpeg_quality"),
    ],
)
def test_wrong_dials_are_told_in_words(job, says):
    with pytest.raises(ValueError, match=says):
        dials.draw_all([job])


# --- descriptors: each moves with what its name says ---


def texture(seed=0, n=6):
    rng = np.random.default_rng(seed)
    return np.clip(rng.normal(120, 20, (n, 1, 96, 96)), 0, 255).astype(np.uint8)


def moved(after, before=None):
    a, b = describe(texture() if before is None else before), describe(after)
    return dict(zip(NAMES, (b - a).mean(0), strict=True))


def test_descriptors_move_with_what_they_are_named_after():
    t = texture().astype(float)
    assert moved((t + 30).astype(np.uint8))["brightness"] == pytest.approx(30, abs=0.1)
    wider = np.clip((t - 120) * 1.5 + 120, 0, 255).astype(np.uint8)
    assert moved(wider)["contrast"] > 8 and moved(wider)["noise"] > 8
    assert moved(np.where(np.arange(96) < 24, 255, t).astype(np.uint8))["clipping"] == pytest.approx(0.25, abs=0.01)
    smooth = (t + np.roll(t, 1, 2) + np.roll(t, 1, 3) + np.roll(t, (1, 1), (2, 3))) / 4
    assert moved(smooth.astype(np.uint8))["sharpness"] < -0.5
    assert moved(smooth.astype(np.uint8))["grain"] < -0.5
    smeared = sum(np.roll(t, k, 2) for k in range(5)) / 5  # along the strip: rows
    assert moved(smeared.astype(np.uint8))["smear"] > 0.5
    assert moved(smeared.transpose(0, 1, 3, 2).astype(np.uint8), texture().transpose(0, 1, 3, 2))["smear"] < -0.5
    shaded = np.clip(t * np.linspace(0.6, 1.4, 96), 0, 255).astype(np.uint8)
    assert moved(shaded)["shading"] > 0.4


def test_noise_is_its_standard_deviation():
    rng = np.random.default_rng(2)
    flat = np.clip(rng.normal(128, 6, (4, 96, 96)), 0, 255).astype(np.uint8)
    assert describe(flat)[:, NAMES.index("noise")] == pytest.approx(6, rel=0.05)


def test_flat_and_black_tiles_are_finite_and_wrong_arrays_refused():
    for value in (0, 128, 255):
        assert np.isfinite(describe(np.full((2, 1, 96, 96), value, np.uint8))).all()
    assert describe(np.zeros((0, 1, 96, 96), np.uint8)).shape == (0, len(NAMES))
    for bad in (texture().astype(float), np.zeros((3, 96), np.uint8), np.zeros((1, 3, 96, 96), np.uint8)):
        with pytest.raises(ValueError, match="tiles must"):
            describe(bad)
