"""Attacks stay in their budget, do more than noise, and agree with another library's."""

import numpy as np
import pytest

from cvprod.models import predictor
from cvprod.optimize.zoo import load_student
from cvprod.security import attacks
from cvprod.surface import make_set


@pytest.fixture(scope="module")
def tiles():
    return make_set(21, 3)


@pytest.fixture(scope="module")
def network():
    return load_student("student_nas")


@pytest.mark.parametrize("epsilon", [1, 2, 3.5, 255])
@pytest.mark.parametrize("attack", ["noise", "fgsm", "pgd"])
def test_no_pixel_leaves_the_ball_and_all_are_bytes(attack, epsilon, tiles, network):
    few = tiles[:4]
    made = {
        "noise": lambda: attacks.noise(few.images, epsilon),
        "fgsm": lambda: attacks.fgsm(network, few.images, few.labels, epsilon),
        "pgd": lambda: attacks.pgd(network, few.images, few.labels, epsilon, steps=2),
    }[attack]()
    moved = np.abs(made.astype(int) - few.images)
    assert made.dtype == np.uint8 and made.shape == few.images.shape
    assert 0 < moved.max() <= epsilon


def test_pgd_beats_fgsm_beats_noise(tiles, network):
    predict = predictor(network)
    sound, noise, fgsm, pgd = (
        attacks.accuracy(predict, images, tiles.labels)
        for images in (
            tiles.images,
            attacks.noise(tiles.images, 4),
            attacks.fgsm(network, tiles.images, tiles.labels, 4),
            attacks.in_batches(attacks.pgd, network, tiles.images, tiles.labels, 4, batch=8),
        )
    )
    assert sound > 0.9 and noise > sound - 0.1
    assert pgd < fgsm < noise - 0.15


def test_the_gradient_is_that_of_the_loss(tiles, network):
    import torch
    import torch.nn.functional as F

    network, x, y = network.double(), torch.from_numpy(tiles.images[:2]).double(), torch.from_numpy(tiles.labels[:2])
    try:
        found = attacks.gradient(network, x, y)
        step = torch.zeros_like(x)
        step[1, 0, 40, 50] = 1e-3
        up, down = (F.cross_entropy(network(x + sign * step), y, reduction="sum") for sign in (1, -1))
        assert float((up - down) / 2e-3) == pytest.approx(float(found[1, 0, 40, 50]), rel=1e-3, abs=1e-8)
    finally:
        network.float()


def test_fgsm_moves_pixels_as_another_library_does(tiles, network):
    art = pytest.importorskip("art.attacks.evasion", reason="the Adversarial Robustness Toolbox is not installed")
    import torch
    from art.estimators.classification import PyTorchClassifier

    wrapped = PyTorchClassifier(
        network, torch.nn.CrossEntropyLoss(), input_shape=(1, 96, 96), nb_classes=7, clip_values=(0, 255),
        device_type="cpu",
    )  # fmt: skip
    few = tiles[:7]
    other = art.FastGradientMethod(wrapped, eps=4).generate(few.images.astype(np.float32), few.labels)
    own = attacks.fgsm(network, few.images, few.labels, 4)
    network.eval()
    assert (np.rint(other) == own).mean() > 0.99


def test_a_search_by_scores_needs_scores(tiles, network):
    """With all scores it finds what it does not find with the label alone; both stay in their budget."""
    predict, asked = predictor(network), []

    def scores(x):
        asked.append(1)
        return predict(x)

    def label_only(x):
        found = predict(x)
        return (found == found.max(1, keepdims=True)).astype(float)

    left = {"scores": 0, "label": 0}
    for i in range(10):
        for name, ask in (("scores", scores), ("label", label_only)):
            before = len(asked)
            made, spent = attacks.square(ask, tiles.images[i : i + 1], int(tiles.labels[i]), 6, queries=60, seed=i)
            assert np.abs(made.astype(int) - tiles.images[i : i + 1]).max() <= 6 and spent <= 60
            if name == "scores":
                assert len(asked) - before == spent
            left[name] += int(predict(made).argmax() == tiles.labels[i])
    assert left["scores"] < left["label"]


@pytest.mark.parametrize("epsilon", [0, -1, 300])
def test_a_budget_that_is_none_is_refused(epsilon, tiles):
    with pytest.raises(ValueError, match="grey levels"):
        attacks.noise(tiles.images, epsilon)


def test_floats_are_refused(tiles, network):
    with pytest.raises(ValueError, match="uint8"):
        attacks.pgd(network, tiles.images / 255, tiles.labels, 2)
