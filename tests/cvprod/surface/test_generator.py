"""The generator: same bytes everywhere, real defects inside their boxes, dials that do what they say."""

import hashlib
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvprod.surface import (
    CLASSES,
    DEFECTS,
    HARDEST_ROUTINE,
    INPUT_SIZE,
    NOMINAL,
    TILE_SIZE,
    Conditions,
    make_set,
    make_tile,
    to_input,
)

WITHOUT_NOISE = Conditions(noise=0)


def correlation(a, b):
    return float(np.corrcoef(a.ravel().astype(float), b.ravel().astype(float))[0, 1])


def test_classes_are_the_books_seven_in_the_networks_order():
    assert CLASSES == (
        "clean", "crazing", "inclusion", "patches", "pitted_surface", "rolled_in_scale", "scratches",
    )  # fmt: skip
    assert CLASSES[1:] == DEFECTS
    assert (TILE_SIZE, INPUT_SIZE) == (224, 96)


@pytest.mark.parametrize("label", CLASSES)
def test_a_tile_is_what_it_says(label):
    for seed in range(6):
        tile = make_tile(label, seed)
        assert tile.image.shape == (224, 224)
        assert tile.image.dtype == np.uint8
        assert tile.name == label
        assert CLASSES[tile.label] == label
        assert tile.image.std() > 1, "a tile of one grey level shows nothing"
        assert tile.boxes.dtype == np.int64
        assert tile.boxes.shape[1] == 4
        assert (len(tile.boxes) == 0) == (label == "clean")
        if len(tile.boxes):
            x0, y0, x1, y1 = tile.boxes.T
            assert (x0 >= 0).all()
            assert (y0 >= 0).all()
            assert (x1 <= 224).all()
            assert (y1 <= 224).all()
            assert (x1 > x0).all()
            assert (y1 > y0).all()


def test_label_by_name_index_and_hyphen_is_the_same_tile():
    a, b, c = (make_tile(k, 3).image for k in ("rolled_in_scale", 5, "Rolled-In Scale"))
    assert (a == b).all()
    assert (a == c).all()


@pytest.mark.parametrize("label", CLASSES)
def test_seeds_differ(label):
    images = [make_tile(label, seed).image for seed in range(8)]
    assert len({i.tobytes() for i in images}) == 8
    # the light may fall alike on two tiles, their grain may not
    grain = [i - cv2.GaussianBlur(i.astype(float), (0, 0), 3) for i in images]
    assert max(abs(correlation(grain[0], other)) for other in grain[1:]) < 0.2


def test_the_same_seed_gives_the_same_bytes_in_another_process_and_thread_count():
    code = (
        "import cv2, sys; cv2.setNumThreads(int(sys.argv[1]))\n"
        "from cvprod.surface import make_set\n"
        "print(make_set(21, 9, conditions='wide').digest)"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code, str(threads)], capture_output=True, text=True, check=True, timeout=120
        ).stdout.strip()
        for threads in (1, 4)
    }
    assert digests == {make_set(21, 9, conditions="wide").digest}


def test_bytes_do_not_depend_on_the_vector_unit():
    """numpy and OpenCV pick other code for other CPUs: take the newest instructions away and compare."""
    code = "from cvprod.surface import make_set; print(make_set(42, 4, conditions='wide').digest)"
    numpy_features = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    features = [f for f in numpy_features if f.startswith(("AVX", "X86_V", "ASIMD"))]
    if not features:
        pytest.skip("numpy found no instructions here that could be taken away")
    env = os.environ | {
        "NPY_DISABLE_CPU_FEATURES": ",".join(features),
        "OPENCV_CPU_DISABLE": "AVX2,FMA3,AVX512-SKX,AVX512-ICL,SSE4.2,SSE4.1",
        "OPENCV_IPP": "disabled",
    }
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=env)
    assert out.returncode == 0, out.stderr
    assert out.stdout.strip() == make_set(42, 4, conditions="wide").digest


# sha256 over four tiles of each class: nominal and under conditions that use every step of the camera
EVERYTHING = Conditions(
    exposure=0.3, uneven_light=0.4, defocus=0.9, motion_blur=3.5, noise=4, jpeg_quality=80, rotation=3, gain=1.1,
    gamma=1.2,
)  # fmt: skip
DIGESTS = {
    "clean": "7d8bf4c216e25b1c2f36a7b05e66630585d1b2a92368df345d216b1f17e73c61",
    "crazing": "9a23f59e2e7b7a4a2474588954f97558e64cd4a8f36e461ad39deedb50e5a82f",
    "inclusion": "f93bd31865ee6768fd58a4639a52423a8866a28a75cc4218a432e85bcec63c75",
    "patches": "9c4fa3b637e5494490ad90934a7c6ae018e73dd891b7977ea00a810d839d79e7",
    "pitted_surface": "23aebb1d75b475f06b3f50ef3fddeb1de9b63de8fdace32687a33d64b61ae3d0",
    "rolled_in_scale": "a90963e93c67f8402fcd14f739919a4500fe13f26f89ab646e71157fed912d69",
    "scratches": "fe7a405c6cafa7ad4332e43c9b8f28d3e45f07257cdcf0658bf2f3e87a73527c",
}


def tiles_digest(label):
    h = hashlib.sha256()
    for seed in (1, 2):
        for conditions in (NOMINAL, EVERYTHING):
            h.update(make_tile(label, seed, conditions=conditions).image.tobytes())
    return h.hexdigest()


@pytest.mark.parametrize("label", CLASSES)
def test_digest(label):
    """A changed byte here invalidates the shipped networks' cards and numbers: train them again, then change this."""
    assert tiles_digest(label) == DIGESTS[label]


@pytest.mark.parametrize("label", DEFECTS)
def test_a_box_holds_the_defect(label, monkeypatch):
    """Draw the same steel without its defect: the pictures differ inside the boxes and hardly outside."""
    from cvprod.surface import generator

    inside = outside = 0.0
    for seed in range(12):
        with_defect = make_tile(label, seed, conditions=WITHOUT_NOISE)
        with monkeypatch.context() as m:
            m.setitem(generator.DRAW, label, lambda tile, rng, strength: np.zeros(tile.shape, np.uint8))
            without = make_tile(label, seed, conditions=WITHOUT_NOISE).image
        difference = np.abs(with_defect.image.astype(int) - without)
        mask = np.zeros((224, 224), bool)
        for x0, y0, x1, y1 in with_defect.boxes:
            mask[y0:y1, x0:x1] = True
        assert difference[mask].max() >= 8, f"seed {seed}: nothing to see in the boxes"
        inside += difference[mask].sum()
        outside += difference[~mask].sum()
    assert inside / (inside + outside) > 0.8


def test_boxes_turn_with_the_picture():
    """The brightest spot of a scratched tile is its scratch: it must be boxed, and stay boxed when it turns."""

    def boxed(boxes, x, y):
        x0, y0, x1, y1 = boxes.T
        return bool(((x0 - 2 <= x) & (x <= x1 + 2) & (y0 - 2 <= y) & (y <= y1 + 2)).any())

    found = []
    for seed in range(30):
        flat = make_tile("scratches", seed, conditions=WITHOUT_NOISE)
        turned = make_tile("scratches", seed, conditions=WITHOUT_NOISE.with_(rotation=25))
        y, x = np.unravel_index(cv2.GaussianBlur(flat.image, (5, 5), 0).argmax(), (224, 224))
        u, v = cv2.getRotationMatrix2D((111.5, 111.5), 25, 1) @ (x, y, 1)
        if 4 < u < 220 and 4 < v < 220:
            found.append((boxed(flat.boxes, x, y), boxed(turned.boxes, u, v)))
    before, after = np.array(found).mean(0)
    assert len(found) >= 10
    assert before > 0.8
    assert after >= before


def test_dials_take_another_picture_of_the_same_steel():
    a = make_tile("patches", 5, conditions=WITHOUT_NOISE).image
    b = make_tile("patches", 5, conditions=WITHOUT_NOISE.with_(exposure=-0.5, noise=2.0)).image
    assert correlation(a, b) > 0.98


def mean_level(**dials):
    return np.mean([make_tile(c, 11, conditions=NOMINAL.with_(**dials)).image.mean() for c in CLASSES])


def sharpness(**dials):
    images = [make_tile("crazing", s, conditions=WITHOUT_NOISE.with_(**dials)).image for s in range(4)]
    return np.mean([cv2.Laplacian(i, cv2.CV_64F).std() for i in images])


def test_exposure_darkens_and_brightens():
    levels = [mean_level(exposure=e) for e in (-2, -1, 0, 1)]
    assert levels == sorted(levels)
    assert levels[1] == pytest.approx(levels[2] / 2, rel=0.03)  # one stop is half the light


def test_gamma_brightens():
    assert mean_level(gamma=0.6) < mean_level() < mean_level(gamma=1.6)


def test_gain_stretches_about_mid_grey():
    low, mid, high = (make_tile("crazing", 1, conditions=NOMINAL.with_(gain=g)).image.std() for g in (0.6, 1, 1.5))
    assert low < mid < high


def test_blur_softens():
    assert sharpness(defocus=3) < sharpness(defocus=1) < 0.9 * sharpness()
    assert sharpness(motion_blur=9) < sharpness(motion_blur=3) < sharpness()


def test_motion_blurs_along_the_strip_only():
    def along_over_across(**dials):
        image = make_tile("crazing", 2, conditions=WITHOUT_NOISE.with_(**dials)).image.astype(float)
        return np.abs(np.diff(image, axis=0)).mean() / np.abs(np.diff(image, axis=1)).mean()

    assert along_over_across(motion_blur=15) < 0.5 * along_over_across()


def test_motion_blur_is_the_mean_of_that_many_rows():
    """Oracle: whole lengths are a box filter."""
    from cvprod.surface.camera import _smear

    image = np.random.default_rng(0).uniform(0, 255, (50, 7)).astype(np.float32)
    for length in (3, 7):
        expected = cv2.blur(image.astype(float), (1, length), borderType=cv2.BORDER_REFLECT_101)
        np.testing.assert_allclose(_smear(image.copy(), length), expected, atol=1e-3)
    between = _smear(image.copy(), 4.0)[25]
    by_hand = (image[24:27].sum(0) + 0.5 * image[23] + 0.5 * image[27]) / 4
    np.testing.assert_allclose(between, by_hand, rtol=1e-5)


def test_noise_has_the_standard_deviation_that_was_dialled():
    tiles = [make_tile("inclusion", s, conditions=c).image.astype(float) for s in range(4)
             for c in (WITHOUT_NOISE, WITHOUT_NOISE.with_(noise=8.0))]  # fmt: skip
    measured = np.mean([(b - a)[(a > 40) & (a < 215)].std() for a, b in zip(tiles[::2], tiles[1::2], strict=True)])
    assert measured == pytest.approx(8.0, rel=0.05)


def test_uneven_light_makes_a_gradient():
    def spread(value):
        out = []
        for s in range(8):
            flat = make_tile("clean", s, conditions=WITHOUT_NOISE).image.astype(float) + 1
            lit = make_tile("clean", s, conditions=WITHOUT_NOISE.with_(uneven_light=value)).image.astype(float) + 1
            ratio = cv2.blur(lit / flat, (15, 15))
            out.append(ratio.max() - ratio.min())
        return np.mean(out)

    assert spread(0.0) < 0.01 < spread(0.3) < spread(0.8)


def test_jpeg_changes_pixels_a_little_and_low_quality_more():
    raw = make_tile("patches", 3).image.astype(int)
    fine, coarse = (make_tile("patches", 3, conditions=NOMINAL.with_(jpeg_quality=q)).image for q in (90, 10))
    assert 0 < np.abs(fine - raw).mean() < np.abs(coarse - raw).mean()
    assert correlation(raw, coarse) > 0.8


def texture(image):
    """Contrast of structures of about 1 to 8 px, relative to the mean level."""
    x = image.astype(float)
    return (cv2.GaussianBlur(x, (0, 0), 1) - cv2.GaussianBlur(x, (0, 0), 8)).std() / x.mean()


@pytest.mark.parametrize("grade", ["B", "C"])
def test_another_grade_changes_the_texture_of_every_tile(grade):
    a = np.array([texture(make_tile("clean", s, conditions=WITHOUT_NOISE).image) for s in range(16)])
    b = np.array([texture(make_tile("clean", s, conditions=WITHOUT_NOISE.with_(grade=grade)).image) for s in range(16)])
    assert (b > a).all()
    assert np.median(b / a) > 1.3


@pytest.mark.parametrize(
    ("dial", "value", "needs"),
    [
        ("exposure", 3.1, "-3 to 3"), ("exposure", float("nan"), "-3 to 3"), ("uneven_light", -0.1, "0 to 1"),
        ("defocus", "1", "0 to 6"), ("motion_blur", 33, "0 to 32"), ("noise", None, "0 to 64"),
        ("gain", 0.2, "0.25 to 4"), ("gamma", 5, "0.25 to 4"), ("rotation", 181, "-180 to 180"),
        ("jpeg_quality", 0, "1 to 100"), ("jpeg_quality", 50.5, "1 to 100"), ("jpeg_quality", True, "1 to 100"),
        ("grade", "Z", "A, B, C"), ("noise", True, "0 to 64"),
    ],
)  # fmt: skip
def test_a_dial_out_of_range_is_named_with_its_range(dial, value, needs):
    with pytest.raises(ValueError, match=rf"{dial} must .*{needs}"):
        Conditions(**{dial: value})


def test_an_unknown_dial_is_an_error_that_lists_them():
    with pytest.raises(ValueError, match=r"brightness.*exposure"):
        NOMINAL.with_(brightness=2)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_random_conditions_are_valid_and_routine_stays_routine(seed):
    routine = Conditions.routine(np.random.default_rng(seed))
    Conditions.wide(np.random.default_rng(seed))
    assert abs(routine.exposure) <= 0.4
    assert routine.uneven_light <= HARDEST_ROUTINE.uneven_light
    assert routine.defocus <= HARDEST_ROUTINE.defocus
    assert routine.motion_blur <= HARDEST_ROUTINE.motion_blur
    assert routine.noise <= HARDEST_ROUTINE.noise
    assert routine.jpeg_quality is None or routine.jpeg_quality >= HARDEST_ROUTINE.jpeg_quality
    assert routine.grade == HARDEST_ROUTINE.grade == "A"


def test_wide_reaches_beyond_routine():
    rng = np.random.default_rng(1)
    draws = [Conditions.wide(rng) for _ in range(200)]
    assert max(c.uneven_light for c in draws) > HARDEST_ROUTINE.uneven_light
    assert min(c.exposure for c in draws) < -0.8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rust", 1), "unknown class 'rust'; known: clean"), ((7, 1), "unknown class 7"), ((-1, 1), "unknown class"),
        ((True, 1), "unknown class"), (("clean", -1), "seed"), (("clean", 1.5), "seed"),
    ],
)  # fmt: skip
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_tile(*arguments)


def test_bad_size_and_conditions():
    with pytest.raises(ValueError, match="size"):
        make_tile("clean", 1, size=500)
    with pytest.raises(ValueError, match="Conditions"):
        make_tile("clean", 1, conditions="routine")


def test_a_smaller_tile():
    assert make_tile("scratches", 2, size=96).image.shape == (96, 96)


def test_to_input_is_the_area_average():
    """Oracle: from 192 px every output pixel is the mean of a 2 x 2 block; a constant stays; 96 px passes through."""
    rng = np.random.default_rng(0)
    big = rng.integers(0, 256, (192, 192)).astype(np.uint8)
    mean = big.reshape(96, 2, 96, 2).mean((1, 3))
    assert np.abs(to_input(big).astype(float) - mean).max() <= 0.5
    assert (to_input(np.full((224, 224), 77, np.uint8)) == 77).all()
    same = rng.integers(0, 256, (96, 96)).astype(np.uint8)
    out = to_input(same)
    assert (out == same).all()
    assert out is not same
    # 224: exact rational arithmetic
    tile = make_tile("crazing", 1).image
    weights = np.zeros((96, 224))
    for i in range(96):
        for j in range(224):
            weights[i, j] = max(0, min(3 * j + 3, 7 * i + 7) - max(3 * j, 7 * i))
    exact = np.floor((weights @ tile @ weights.T * 2 + 49) / 98)
    assert (to_input(tile) == exact).all()


@pytest.mark.parametrize(
    "bad", [np.zeros((96, 96)), np.zeros((1, 96, 96), np.uint8), np.zeros((0, 4), np.uint8), [[1]]]
)
def test_to_input_refuses_what_is_no_tile(bad):
    with pytest.raises(ValueError, match="uint8 array of shape"):
        to_input(bad)


def test_clean_steel_comes_on_every_ground_and_defects_prefer_theirs():
    from cvprod.surface.textures import LOOKS, USUAL, choose_look

    rng = np.random.default_rng(0)
    clean = [choose_look(0, rng) for _ in range(400)]
    assert min(clean.count(look) for look in LOOKS) > 60
    crazing = [choose_look(1, rng) for _ in range(400)]
    assert set(crazing) == set(LOOKS)
    assert crazing.count(USUAL[1]) > 250


def test_the_ground_alone_does_not_give_the_class_away():
    """A nearest-centroid guess from grey statistics must be far from what a network reaches."""

    def features(images):
        x = images[:, 0].reshape(len(images), -1).astype(float)
        return np.stack([x.mean(1), x.std(1), np.abs(np.diff(x, axis=1)).mean(1)], 1)

    train, test = make_set(350, 1), make_set(350, 2)
    a, b = features(train.images), features(test.images)
    a, b = (a - a.mean(0)) / a.std(0), (b - b.mean(0)) / b.std(0)
    centroids = np.stack([a[train.labels == k].mean(0) for k in range(7)])
    guess = ((b[:, None] - centroids[None]) ** 2).sum(-1).argmin(1)
    assert 1 / 7 < (guess == test.labels).mean() < 0.65
