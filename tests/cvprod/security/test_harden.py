"""The shipped robust student is what its card says, serves, and resists more than what it began as."""

import json

import numpy as np
import pytest
import torch

from cvprod.models import WeightsError, predictor
from cvprod.optimize.fuse import onnx_predict
from cvprod.optimize.student import student
from cvprod.optimize.zoo import load_student
from cvprod.security import attacks, harden
from cvprod.security.__main__ import main
from cvprod.serving.model import Model
from cvprod.surface import make_set


@pytest.fixture(scope="module")
def tiles():
    return make_set(42, 3)


def test_an_attack_of_the_training_stays_in_its_ball(tiles):
    x, y = torch.from_numpy(tiles.images[:3]).float(), torch.from_numpy(tiles.labels[:3])
    found = harden.attack_step(load_student("student_nas"), x, y, 3.0, torch.Generator().manual_seed(0))
    assert not found.requires_grad and found.min() >= 0 and found.max() <= 255
    assert float((found - x).abs().max()) == pytest.approx(3)


def test_training_attacks_what_it_trains_and_learns(tiles):
    torch.manual_seed(0)
    network = student(8, (8, 8), (8, 8))
    recipe = harden.Recipe(steps=30, batch=14, lr=5e-3)
    losses = harden.train(network, tiles.images, tiles.labels, recipe)
    assert len(losses) == 30 and np.mean(losses[-5:]) < np.mean(losses[:5]) and not network.training


def test_the_shipped_student_resists_more_and_pays_for_it(tiles):
    metrics = harden.shipped_card()["metrics"]
    assert metrics["pgd10"]["2"] > metrics["before"]["pgd10"]["2"] + 0.1
    assert metrics["routine"]["accuracy"] < metrics["before"]["accuracy"]
    kept = {}
    for name, network in (("robust", harden.load_robust()), ("start", load_student(harden.START))):
        made = attacks.in_batches(attacks.pgd, network, tiles.images, tiles.labels, 4, steps=5)
        kept[name] = attacks.accuracy(predictor(network), made, tiles.labels)
    assert kept["robust"] > kept["start"] + 0.1


def test_the_int8_file_is_that_student_and_the_service_takes_it(tiles):
    whole, small = predictor(harden.load_robust()), onnx_predict(harden.onnx_path())
    assert (whole(tiles.images).argmax(1) == small(tiles.images).argmax(1)).mean() > 0.9
    model = Model.load(harden.serving_card())
    assert model.name == "steel" and "robust" in model.version


def test_a_training_that_gains_nothing_ships_nothing(tmp_path, monkeypatch, tiles):
    monkeypatch.setattr(harden, "book_tiles", lambda *_, **__: tiles)
    monkeypatch.setattr(harden, "train", lambda *_, **__: [])
    monkeypatch.setattr(harden, "judge", lambda *_, **__: {"routine": {"accuracy": 1.0}, "pgd10": {"2": 0.3}})
    with pytest.raises(WeightsError, match="resists no better"):
        harden.harden(folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", [{"epsilon": 0}, {"steps": 1}, {"share": 1.5}, {"lr": 0}])
def test_a_recipe_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match=r"must be|within|above"):
        harden.Recipe(**wrong)


def test_the_command_holds_the_file_to_its_card(monkeypatch, capsys):
    assert main(["verify", "--tiles", "14"]) == 0
    assert capsys.readouterr().out.rstrip().endswith("ok")
    monkeypatch.setattr(harden, "load_robust", lambda: load_student("student_nas"))
    card = json.loads(json.dumps(harden.shipped_card()))
    card["metrics"]["pgd10"]["2"] = 0.99
    monkeypatch.setattr("cvprod.models.card", lambda *_, **__: card)
    assert main(["verify", "--tiles", "14"]) == 1
    assert main(["verify", "--tiles", "3"]) == 1
