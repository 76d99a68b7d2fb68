"""The training loop on problems whose outcome is known beforehand."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from cvprod.models import NETWORKS, Evaluation, WeightsError, card, evaluate, load_weights, predictor, register, shipped
from cvprod.models import training as training_module
from cvprod.models.__main__ import main
from cvprod.models.augment import augment
from cvprod.models.data import cache_folder, cached_set, generator_version
from cvprod.models.training import RECIPES, Recipe, fit, picture_size, train, training_command, with_options
from cvprod.surface import TileSet, make_set

QUICK = Recipe(tiles=64, epochs=3, batch=16, lr=1e-2, smoothing=0.0, precision="fp32", strength=0.0)


class Tiny(nn.Module):
    """Sees brightness and texture only; learns in a second."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 5, stride=4)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 7)

    def forward(self, x):
        return self.head(torch.relu(self.norm(self.conv(x.float() / 64 - 2))).mean((2, 3)))


def stripes(n, seed=0):
    """Class k is a grating of its own frequency: separable by any network with a convolution."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 7, n)
    x = np.arange(96)
    phase = random.uniform(0, 6.28, n)
    waves = 128 + 80 * np.sin(2 * np.pi * x * (labels[:, None] + 0.5) / 24 + phase[:, None])
    images = np.repeat(waves[:, None, None, :], 96, axis=2) + random.normal(0, 5, (n, 1, 96, 96))
    images = images.clip(0, 255).astype(np.uint8)
    return TileSet(images, labels.astype(np.int64), [np.zeros((0, 4), np.int64)] * n)


def test_a_network_overfits_a_tiny_set_of_real_tiles():
    torch.manual_seed(0)
    tiles = make_set(14, 5, conditions="nominal")
    model = NETWORKS["resnet10_half"]()
    history = fit(
        model, tiles, tiles, replace(QUICK, epochs=60, batch=14, lr=3e-3, patience=99, grow=False), progress=False
    )
    # Not 1.0: the sums of a batch depend on the number of threads, and with it one tile near the boundary.
    assert evaluate(predictor(model), tiles).accuracy > 0.9
    assert history.train_loss[-1] < 0.2 * history.train_loss[0]
    assert not model.training


def test_same_seed_same_weights_other_seed_other_weights():
    def trained(seed):
        torch.manual_seed(0)
        model = Tiny()
        fit(model, stripes(64), stripes(28, 1), replace(QUICK, seed=seed, strength=1.0), progress=False)
        return model.head.weight.detach()

    assert torch.equal(trained(3), trained(3))
    assert not torch.equal(trained(3), trained(4))


def test_early_stopping_restores_the_best_epoch(monkeypatch):
    # validation says: better, better, worse, worse, (never reached)
    quality = iter([1.0, 2.0, 1.5, 1.4, 9.0])
    states = []

    def judged(predict, tiles):
        states.append({key: value.clone() for key, value in model.state_dict().items()})
        logits = np.zeros((len(tiles), 7), np.float32)
        logits[np.arange(len(tiles)), tiles.labels] = next(quality)
        return Evaluation(logits, tiles.labels)

    monkeypatch.setattr(training_module, "evaluate", judged)
    torch.manual_seed(0)
    model = Tiny()
    history = fit(model, stripes(64), stripes(14, 1), replace(QUICK, epochs=5, patience=2), progress=False)
    assert history.stopped_early and len(history.val_loss) == 4 and history.best == 1
    for key, value in model.state_dict().items():
        assert torch.equal(value, states[1][key]), key
    assert not torch.equal(states[1]["head.weight"], states[3]["head.weight"])


def test_a_diverging_training_says_so():
    torch.manual_seed(0)

    def hopeless(logits, labels, images):
        return logits.sum() * float("nan")

    with pytest.raises(FloatingPointError, match="learning rate"):
        fit(Tiny(), stripes(32), stripes(14), QUICK, loss=hopeless, progress=False)


def test_a_callers_loss_is_used():
    torch.manual_seed(0)
    model, calls = Tiny(), []
    before = model.head.weight.detach().clone()

    def nothing_to_learn(logits, labels, images):
        calls.append((logits.shape, labels.shape, images.shape, images.dtype))
        return 0.0 * logits.sum()

    fit(model, stripes(64), stripes(28, 1), replace(QUICK, weight_decay=0.0), loss=nothing_to_learn, progress=False)
    assert set(calls) == {((16, 7), (16,), (16, 1, 96, 96), torch.float32)} and len(calls) == 3 * 4
    assert torch.equal(model.head.weight, before)


def test_augmentation_keeps_range_shape_and_never_the_same_twice():
    random = torch.Generator().manual_seed(0)
    images = torch.from_numpy(stripes(8).images).float()
    seen = augment(images, random)
    assert seen.shape == images.shape and seen.min() >= 0 and seen.max() <= 255
    assert not torch.equal(seen, augment(images, random))
    again = augment(images, torch.Generator().manual_seed(0))
    assert torch.equal(seen, again)


def test_augmentation_of_strength_zero_only_mirrors():
    image = torch.randint(0, 256, (1, 1, 96, 96), generator=torch.Generator().manual_seed(1)).float()
    views = [image, image.flip(3), image.flip(2), image.flip(2, 3)]
    random, found = torch.Generator().manual_seed(0), set()
    for _ in range(40):
        seen = augment(image.clone(), random, strength=0.0)
        found |= {k for k, view in enumerate(views) if torch.equal(seen, view)}
        assert any(torch.equal(seen, view) for view in views)
    assert found == {0, 1, 2, 3}


def test_recipes_are_checked_and_written_as_commands():
    assert set(RECIPES) <= set(NETWORKS)
    with pytest.raises(ValueError, match="epochs"):
        Recipe(epochs=0)
    with pytest.raises(ValueError, match="precision"):
        Recipe(precision="int8")
    assert training_command("resnet18", RECIPES["resnet18"]) == "python -m cvprod.models train resnet18"
    changed = with_options(RECIPES["resnet18"], epochs=2, weight_decay=0.5, lr=None, grow=False)
    assert training_command("resnet18", changed).endswith("train resnet18 --epochs 2 --weight-decay 0.5 --no-grow")


def test_pictures_grow_to_full_size_for_the_last_half():
    for epochs in (1, 2, 4, 7, 10):
        sizes = [picture_size(epoch, epochs) for epoch in range(epochs)]
        assert sizes == sorted(sizes) and set(sizes) <= {64, 80, 96}
        assert all(size == 96 for size in sizes[epochs // 2 + epochs % 2 :])


@pytest.fixture
def cached(tmp_path, monkeypatch):
    monkeypatch.setenv("CVPROD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_cache_gives_the_same_tiles_and_heals_itself(cached, monkeypatch):
    first = cached_set(20, 9, workers=1)
    (file,) = cached.iterdir()
    assert first.digest == make_set(20, 9).digest

    def never(*args, **kwargs):
        raise AssertionError("generated again")

    with monkeypatch.context() as patch:
        patch.setattr("cvprod.models.data.make_set", never)
        assert cached_set(20, 9, workers=1).digest == first.digest
        with pytest.raises(AssertionError):
            cached_set(20, 9, conditions="wide", workers=1)  # another key
    blob = bytearray(file.read_bytes())
    blob[len(blob) // 2] ^= 0xFF
    file.write_bytes(bytes(blob))
    assert cached_set(20, 9, workers=1).digest == first.digest
    assert len(generator_version()) == 12


def test_cache_follows_xdg(monkeypatch, tmp_path):
    monkeypatch.delenv("CVPROD_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "cvprod"


@pytest.fixture
def small_world(cached, monkeypatch):
    """`train` with small sets and a network called "tiny"."""
    monkeypatch.setattr("cvprod.models.networks._BUILDERS", dict(NETWORKS))
    monkeypatch.setattr(training_module, "RECIPES", {"tiny": QUICK})
    monkeypatch.setattr("cvprod.models.__main__.RECIPES", {"tiny": QUICK})
    register("tiny", Tiny)
    sets = {"train": stripes(64), "val": stripes(28, 1), "test": stripes(70, 2)}
    seeds = {1: "train", 2: "val", 3: "test"}
    monkeypatch.setattr(training_module, "cached_set", lambda n, seed, conditions: sets[seeds[seed]])
    return cached.parent / "weights"


def test_training_ships_and_never_replaces_better_weights_silently(small_world, capsys):
    first = train("tiny", replace(QUICK, epochs=25, patience=99), folder=small_world, progress=False)
    assert first.path.is_file() and first.old is None and first.new.accuracy > 0.5
    content = card("tiny", folder=small_world)
    assert content["metrics"]["routine"]["accuracy"] == pytest.approx(first.new.accuracy, abs=1e-4)
    assert content["training"]["command"] == "python -m cvprod.models train tiny --epochs 25 --patience 99"
    assert content["data"]["train"]["digest"] == stripes(64).digest
    # what was tested is what lies on the disk
    seen = evaluate(predictor(load_weights("tiny", folder=small_world)), stripes(70, 2))
    assert np.array_equal(seen.logits, first.new.logits)

    before = first.path.read_bytes()
    worse = train("tiny", replace(QUICK, epochs=1, lr=1e-6), folder=small_world, progress=False)
    assert worse.path is None and "Worse" in worse.message and first.path.read_bytes() == before
    assert worse.old.accuracy == first.new.accuracy
    forced = train("tiny", replace(QUICK, epochs=1, lr=1e-6), folder=small_world, force=True, progress=False)
    assert forced.path == first.path and first.path.read_bytes() != before
    assert f"{first.new.accuracy:.2%}" in forced.message and f"{forced.new.accuracy:.2%}" in forced.message


def test_polishing_is_kept_only_if_validation_gains(small_world, monkeypatch):
    train("tiny", replace(QUICK, epochs=4, polish=2), folder=small_world, progress=False)
    content = card("tiny", folder=small_world)["training"]
    assert content["epochs_run"] == 6 and content["recipe"]["polish"] == 2
    assert content["command"].endswith("--epochs 4 --polish 2")

    def ruined(model, *rest, **options):
        history = fit(model, *rest, **options)
        if rest[2].epochs == 2:  # the second cycle
            nn.init.zeros_(model.head.weight)
            history.val_loss = [99.0, 99.0]
        return history

    monkeypatch.setattr(training_module, "fit", ruined)
    train("tiny", replace(QUICK, epochs=4, polish=2), folder=small_world, force=True, progress=False)
    assert load_weights("tiny", folder=small_world).head.weight.abs().max() > 0
    assert card("tiny", folder=small_world)["training"]["best_epoch"] <= 4


def test_command_line(small_world, capsys):
    base = ["--folder", str(small_world)]
    assert main([*base, "train", "tiny", "--epochs", "20", "--seed", "7"]) == 0
    assert "accuracy" in capsys.readouterr().out
    assert card("tiny", folder=small_world)["training"]["recipe"]["seed"] == 7
    assert main([*base, "list"]) == 0
    assert "tiny" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main([*base, "train", "huge"])
    assert "unknown network huge; known: tiny" in capsys.readouterr().err


def test_a_folder_that_cannot_hold_weights_is_refused_before_the_training(small_world, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(training_module, "fit", lambda *_, **__: pytest.fail("it trained"))
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit) as stop:
        main(["--folder", str(tmp_path / "file"), "train", "tiny"])
    assert stop.value.code == 2 and f"--folder {tmp_path / 'file'}" in capsys.readouterr().err


def test_interrupted_command_leaves_everything_as_it_was(small_world, monkeypatch, capsys):
    train("tiny", QUICK, folder=small_world, progress=False)
    before = {path.name: path.read_bytes() for path in small_world.iterdir()}

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(training_module, "fit", interrupted)
    assert main(["--folder", str(small_world), "train", "--all"]) == 130
    assert "as they were" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in small_world.iterdir()} == before


def test_verify_command_finds_the_damaged_and_the_exaggerated(small_world, monkeypatch, capsys):
    train("tiny", replace(QUICK, epochs=25, patience=99), folder=small_world, progress=False)
    monkeypatch.setattr("cvprod.models.__main__.cached_set", lambda n, seed: stripes(70, 2))
    command = ["--folder", str(small_world), "verify", "--tiles", "70"]
    assert main(command) == 0
    monkeypatch.setattr("cvprod.models.__main__.cached_set", lambda n, seed: make_set(70, 4))
    assert main(command) == 1  # the gratings' network knows nothing of steel
    assert "WORSE THAN ITS CARD" in capsys.readouterr().out
    (small_world / "tiny.safetensors").write_bytes(b"short")
    assert main(command) == 1
    shown = capsys.readouterr()
    assert "DAMAGED" in shown.out and "truncated" in shown.err and shipped(small_world) == ["tiny"]
    with pytest.raises(WeightsError):
        load_weights("tiny", folder=small_world)


@pytest.mark.parametrize(
    "words, said",
    [
        (["--folder", "nowhere", "verify"], "nothing to verify: nowhere is no folder"),
        (["--folder", "nowhere", "list"], "--folder nowhere is no folder"),
        (["--folder", "empty", "verify"], "nothing to verify: empty holds no weights"),
        (["verify", "--tiles", "0"], "n must be a whole number of at least 1, got 0"),
        (["verify", "--tiles", "-1"], "at least 1, got -1"),
        (["train", "tiny", "--epochs", "0"], "epochs must be at least 1, got 0"),
        (["train", "tiny", "--tiles", "-1"], "tiles must be at least 1, got -1"),
        (["train", "tiny", "--precision", "x"], "precision must be auto, bf16 or fp32, got 'x'"),
        (["train", "tiny", "--lr", "-1"], "lr is a number above 0"),
    ],
)
def test_a_wrong_call_says_what_to_change(small_world, monkeypatch, tmp_path, words, said, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    if words[0] != "--folder":
        train("tiny", QUICK, folder=small_world, progress=False)
        words = ["--folder", str(small_world), *words]
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert said in lines[-1] and lines[0].startswith("usage: ")


def test_a_training_that_diverges_is_a_failure_with_a_reason(small_world, monkeypatch, capsys):
    def diverged(*args, **kwargs):
        raise FloatingPointError("the loss became nan")

    monkeypatch.setattr(training_module, "fit", diverged)
    assert main(["--folder", str(small_world), "train", "tiny"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "tiny: the loss became nan"


def test_verify_misses_a_network_of_the_package(small_world, monkeypatch, capsys):
    train("tiny", QUICK, folder=small_world, progress=False)
    monkeypatch.setattr("cvprod.models.__main__.WEIGHTS", small_world)
    monkeypatch.setattr("cvprod.models.__main__.NETWORKS", {"tiny": Tiny})
    monkeypatch.setattr("cvprod.models.__main__.cached_set", lambda n, seed: stripes(70, 2))
    assert main(["verify"]) == 0
    for path in small_world.iterdir():
        path.unlink()
    capsys.readouterr()
    assert main(["verify"]) == 1
    shown = capsys.readouterr()
    assert "MISSING" in shown.out and "tiny.safetensors: the weights file is missing" in shown.err


def test_verify_of_nothing_but_unknown_networks_is_no_success(small_world, monkeypatch, capsys):
    train("tiny", QUICK, folder=small_world, progress=False)
    monkeypatch.setattr("cvprod.models.networks._BUILDERS", dict(NETWORKS))
    monkeypatch.setattr("cvprod.models.__main__.cached_set", lambda n, seed: stripes(70, 2))
    assert main(["--folder", str(small_world), "verify"]) == 1
    shown = capsys.readouterr()
    assert "skipped" in shown.out and "nothing was verified" in shown.err


@pytest.mark.parametrize("metrics", [{}, {"routine": None}, {"routine": {"accuracy": "high"}}, {"routine": {}}])
def test_a_card_without_metrics_is_listed_and_not_verified(small_world, monkeypatch, capsys, metrics):
    path = train("tiny", QUICK, folder=small_world, progress=False).path.with_suffix(".json")
    content = json.loads(path.read_text()) | {"metrics": metrics}
    del content["created"]
    path.write_text(json.dumps(content))
    assert main(["--folder", str(small_world), "list"]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("tiny"))
    assert line.split()[-4:] == ["-"] * 4
    monkeypatch.setattr("cvprod.models.__main__.cached_set", lambda n, seed: stripes(70, 2))
    assert main(["--folder", str(small_world), "verify"]) == 1
    assert "tiny: its card has no metrics.routine.accuracy" in capsys.readouterr().err


def test_a_card_with_a_metric_that_nothing_counted_for_is_listed(small_world, capsys):
    path = train("tiny", QUICK, folder=small_world, progress=False).path.with_suffix(".json")
    content = json.loads(path.read_text())
    content["metrics"]["routine"]["false_reject_rate"] = None
    path.write_text(json.dumps(content))
    assert main(["--folder", str(small_world), "list"]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("tiny"))
    assert line.split()[-2] == "-" and line.count("%") == 2
    path.write_text("{}")
    assert main(["--folder", str(small_world), "list"]) == 0
    assert "card damaged" in capsys.readouterr().out


@pytest.mark.parametrize("option", [{"lr": float("nan")}, {"lr": 0.0}, {"weight_decay": -1.0}])
def test_a_rate_that_cannot_be_is_refused_before_tiles_are_made(option):
    with pytest.raises(ValueError, match="above 0"):
        Recipe(**option)
