"""Averaging is Flower's; and three plants together know more than each alone."""

import subprocess

import numpy as np
import pytest

from cvprod.repo import ROOT
from cvprod.security import federated
from cvprod.surface import CLASSES

SEES = {
    "north": ("clean", "crazing", "inclusion"),
    "south": ("clean", "patches", "pitted_surface"),
    "east": ("clean", "rolled_in_scale", "scratches"),
}


def _clouds(n, seed):
    """Features as a good body would give them: a cloud for each class."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % len(CLASSES)
    centres = np.random.default_rng(0).normal(0, 1.5, (len(CLASSES), 24))
    return (centres[y] + rng.normal(0, 1, (n, 24))).astype(np.float32), y


@pytest.fixture(scope="module")
def plants():
    return federated.skewed(*_clouds(420, 1), SEES)


def test_tiles_are_shared_out_once_and_only_to_who_sees_their_class(plants):
    assert sum(len(plant.y) for plant in plants) == 420
    for plant in plants:
        assert {CLASSES[label] for label in plant.y} == set(SEES[plant.name])
    assert len({row.tobytes() for plant in plants for row in plant.x}) == 420


def test_a_class_that_nobody_sees_is_named():
    with pytest.raises(ValueError, match="scratches"):
        federated.skewed(*_clouds(70, 1), {"only": CLASSES[:-1]})


def test_together_beats_every_plant_alone_on_the_union(plants):
    x, y = _clouds(700, 2)
    shared, history = federated.fedavg(plants, rounds=10)
    together = federated.score(shared, x, y)
    apart = {plant.name: federated.score(federated.alone(plant, rounds=10), x, y) for plant in plants}
    assert len(history) == 10 and together > 0.8
    assert all(together > score + 0.2 for score in apart.values()), apart


def test_the_mean_counts_tiles_and_not_plants():
    ones, zeros = [np.ones((2, 3), np.float32)], [np.zeros((2, 3), np.float32)]
    (mean,) = federated.average([(ones, 30), (zeros, 10)])
    assert mean.dtype == np.float32 and np.allclose(mean, 0.75)
    with pytest.raises(ValueError, match="nothing to average"):
        federated.average([])


def test_one_plant_alone_is_what_it_trained(plants):
    shared, _ = federated.fedavg(plants[:1], rounds=3)
    own = federated.alone(plants[0], rounds=3)
    for one, other in zip(federated.get_weights(shared), federated.get_weights(own), strict=True):
        assert np.allclose(one, other, atol=1e-6)


def test_flower_aggregates_the_same(plants, tmp_path):
    """Its present strategy and its older function, in an environment of their own."""
    from cvprod.stack import peers

    try:
        python = peers.environment("flower")
    except RuntimeError as error:
        pytest.skip(f"Flower's environment cannot be made: {error}")
    results = []
    for plant in plants:
        head = federated.new_head(24)
        federated.train(head, plant)
        results.append((federated.get_weights(head), len(plant.y)))
    given = {f"{p}_{k}": layer for p, (layers, _) in enumerate(results) for k, layer in enumerate(layers)}
    np.savez(tmp_path / "in.npz", counts=[count for _, count in results], **given)
    command = [python, ROOT / "cvprod/stack/peers/flower_app.py", tmp_path / "in.npz", tmp_path / "out.npz"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(tmp_path / "out.npz") as found:
        for k, layer in enumerate(federated.average(results)):
            assert np.allclose(found[f"strategy_{k}"], layer, atol=1e-6)
            assert np.allclose(found[f"function_{k}"], layer, atol=1e-6)
