"""The benchmark on real images: numbers checked against a network whose answers are known."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from cvprod.bench import COMMANDS, __main__, sim2real
from cvprod.models import NETWORKS, WeightsError, predictor
from cvprod.optimize import load_student, pipeline_path
from cvprod.optimize.fuse import onnx_predict
from cvprod.surface import CLASSES, DEFECTS, load_folder, make_tile


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "real"
    for name in ("crazing", "rolled-in_scale", "scratches"):
        (root / name).mkdir(parents=True)
        for k in range(4):
            Image.fromarray(make_tile(name, k).image).save(root / name / f"{k}.png")
    return root


def knows(answers, images):
    """A predictor that gives each image of the folder the logits written in `answers[class name]`."""
    table = {
        image.tobytes(): answers[CLASSES[label]] for image, label in zip(images.images, images.labels, strict=True)
    }
    return lambda batch: np.stack([table[image.tobytes()] for image in batch]).astype(np.float32)


def one_hot(*pairs):
    logits = np.zeros(7)
    for name, value in pairs:
        logits[CLASSES.index(name)] = value
    return logits


def test_clean_is_masked_and_every_number_follows(folder):
    images = load_folder(folder)
    answers = {
        "crazing": one_hot(("clean", 9), ("crazing", 5)),  # would be called clean, is right among defects
        "rolled_in_scale": one_hot(("crazing", 3)),  # wrong
        "scratches": one_hot(("scratches", 3)),
    }
    out = sim2real.judge("mine", images, predict=knows(answers, images)).summary()
    assert out["n_images"] == 12
    assert out["accuracy"] == pytest.approx(8 / 12)
    assert out["per_class"] == {"crazing": 1.0, "rolled_in_scale": 0.0, "scratches": 1.0}
    assert out["classes"] == list(DEFECTS)
    assert out["called_clean"] == pytest.approx(4 / 12)
    confusion = np.array(out["confusion"])
    assert confusion.shape == (6, 6)
    assert confusion.sum() == 12
    assert confusion[DEFECTS.index("rolled_in_scale"), DEFECTS.index("crazing")] == 4
    assert np.trace(confusion) == 8


def test_with_clean_images_it_is_seven_way(folder):
    (folder / "clean").mkdir()
    Image.fromarray(make_tile("clean", 1).image).save(folder / "clean" / "1.png")
    images = load_folder(folder)
    answers = {name: one_hot(("clean", 1)) for name in CLASSES}
    outcome = sim2real.judge("mine", images, predict=knows(answers, images))
    assert outcome.summary()["accuracy"] == pytest.approx(1 / 13)
    assert outcome.confusion.shape == (7, 7)
    assert outcome.summary()["called_clean"] == 1.0
    assert "seven-way" in outcome.table()


def test_the_table_shows_accuracy_classes_and_counts(folder):
    images = load_folder(folder)
    answers = {name: one_hot((name, 1)) for name in DEFECTS}
    text = sim2real.judge("mine", images, predict=knows(answers, images)).table()
    assert "100.0%" in text
    assert all(name in text for name in DEFECTS)


def test_the_command_prints_and_writes(folder, tmp_path, monkeypatch, capsys):
    images = load_folder(folder)
    answers = {name: one_hot((name, 1)) for name in DEFECTS}
    monkeypatch.setattr(sim2real, "load", lambda name: None)
    monkeypatch.setattr(sim2real, "predictor", lambda model: knows(answers, images))
    file = tmp_path / "out.json"
    assert __main__.main(["sim2real", "--images", str(folder), "--json", str(file)]) == 0
    written = json.loads(file.read_text())
    assert written["accuracy"] == 1.0
    assert {"n_images", "per_class", "confusion", "classes"} <= set(written)
    assert "12 real images" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--images", "nowhere"], "nowhere does not exist"),
        (["--images", "real", "--network", "vgg99"], "no network called 'vgg99'; known"),
        (["--images", "real", "--json", "no/such/out.json"], "folder does not exist"),
        (["--images", "empty"], "no class folders"),
        (["--images", "bad"], "x.png is not a readable image"),
        (["--images", "unknown"], "unknown class folder rust"),
    ],
)
def test_what_the_reader_can_mend_is_said_without_a_traceback(arguments, message, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder.parent)
    for name in ("empty", "bad/patches", "unknown/rust"):
        (folder.parent / name).mkdir(parents=True)
    (folder.parent / "bad/patches/x.png").write_text("no")
    assert __main__.main(["sim2real", *arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""


def test_every_command_is_listed_with_its_purpose(capsys):
    assert "sim2real" in COMMANDS
    with pytest.raises(SystemExit) as stop:
        __main__.main(["--help"])
    assert stop.value.code == 0
    assert "real images" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        __main__.main([])
    assert stop.value.code == 2


@pytest.mark.parametrize("network", ["pipeline", "student_pruned"])
def test_what_the_pipeline_ships_is_judged_as_it_is_shipped(network, folder, capsys):
    images = load_folder(folder)
    predict = onnx_predict(pipeline_path()) if network == "pipeline" else predictor(load_student(network))
    assert __main__.main(["sim2real", "--images", str(folder), "--network", network]) == 0
    accuracy = sim2real.judge(network, images, predict=predict).evaluation.accuracy
    assert f"{network}, trained on generated tiles alone, on 12 real images" in (text := capsys.readouterr().out)
    assert f"accuracy {accuracy:.1%}" in text


def test_detail_is_the_contrast_of_what_is_small():
    flat = np.full((1, 96, 96), 120, np.uint8)
    slope = np.tile(np.linspace(60, 180, 96).astype(np.uint8), (96, 1))[None]
    stipple = flat.copy()
    stipple[0, ::2, ::2] = 60
    found = sim2real.detail(np.stack([flat, slope, stipple, stipple // 2]))
    assert found[0] == 0 and found[1] < 0.02 < 0.2 < found[2]
    assert found[3] == pytest.approx(found[2], rel=0.02)  # half the light, the same detail


def test_fading_takes_detail_and_leaves_the_rest():
    images = np.stack([make_tile("pitted_surface", k).image for k in range(4)])[:, None]
    faint = sim2real.fade(images, 0.4)
    assert sim2real.detail(faint) == pytest.approx(0.4 * sim2real.detail(images), rel=0.15)
    assert faint.mean((1, 2, 3)) == pytest.approx(images.mean((1, 2, 3)), abs=0.5)
    assert np.array_equal(sim2real.fade(images, 1.0), images)


def test_detail_is_told_apart_for_what_was_found_and_missed(folder):
    images = load_folder(folder)
    answers = {name: one_hot((name, 1)) for name in CLASSES} | {"crazing": one_hot(("patches", 1))}
    outcome = sim2real.judge("mine", images, predict=knows(answers, images))
    detail = 100 * sim2real.detail(images.images)
    of = {name: np.median(detail[images.labels == CLASSES.index(name)]) for name in ("crazing", "scratches")}
    said = outcome.summary()["detail_percent"]
    assert said["crazing"] == {"missed": round(of["crazing"], 2)}
    assert said["scratches"] == {"found": round(of["scratches"], 2)}


@pytest.mark.parametrize("network", ["resnet18", "pipeline"])
def test_what_the_book_tells_of_photographs_is_of_the_shipped_weights(network):
    said = sim2real.recorded(network)
    assert said["network"] == network and said["n_images"] == np.sum(said["confusion"]) and said["clean_masked"]
    assert said["accuracy"] == pytest.approx(np.trace(said["confusion"]) / said["n_images"])


def test_a_record_of_other_weights_is_refused(tmp_path, monkeypatch):
    said = json.loads((sim2real.RECORDS / "pipeline.json").read_text()) | {"weights_sha256": "0" * 64}
    (tmp_path / "pipeline.json").write_text(json.dumps(said))
    monkeypatch.setattr(sim2real, "RECORDS", tmp_path)
    with pytest.raises(WeightsError, match=r"other weights than those shipped.*--network pipeline --json"):
        sim2real.recorded("pipeline")


@pytest.mark.skipif("CVPROD_PHOTOGRAPHS" not in os.environ, reason="needs photographs, which may not be shipped")
def test_the_record_is_what_the_photographs_give(tmp_path, capsys):
    file = tmp_path / "out.json"
    words = ["--images", os.environ["CVPROD_PHOTOGRAPHS"], "--network", "pipeline", "--json", str(file)]
    assert __main__.main(["sim2real", *words]) == 0
    now, said = json.loads(file.read_text()), sim2real.recorded("pipeline")
    # INT8 kernels of other CPUs round otherwise: a few images may change.
    assert now["n_images"] == said["n_images"] and abs(now["accuracy"] - said["accuracy"]) < 0.01


def test_the_default_network_exists():
    import argparse

    parser = argparse.ArgumentParser()
    sim2real.add_arguments(parser)
    assert parser.parse_args(["--images", "x"]).network in NETWORKS
