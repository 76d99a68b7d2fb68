"""Cards: the wrong file, a changed byte, another network or another calibration never serve."""

import json

import numpy as np
import pytest

from cvprod.serving import model as serving
from cvprod.serving.settings import DEFAULT_MODEL
from cvprod.surface import CLASSES, tiles


@pytest.fixture
def copy(tmp_path):
    """A card and its file in a folder of their own."""
    card, data = serving.read(DEFAULT_MODEL)
    (tmp_path / "model.onnx").write_bytes(data)
    document = json.loads(card.model_dump_json()) | {"file": "model.onnx"}
    path = tmp_path / "model.json"
    path.write_text(json.dumps(document))
    return path, document


def test_the_shipped_card_is_of_the_shipped_file_and_calibrates(model):
    found = model.card.calibration
    assert model.card.classes == CLASSES
    assert found["ece_after"] < found["ece_before"] and found["ece_after"] < 0.02
    test = tiles("test", 700)
    logits = model.run(test.images)
    before = serving.calibration_error(logits, test.labels, 1.0)
    assert serving.calibration_error(logits, test.labels, model.card.temperature) < before


def test_a_model_is_found_by_its_card_or_its_file(copy):
    path, _ = copy
    assert serving.Model.load(path).version == serving.Model.load(path.with_suffix(".onnx")).version


def change(field, value):
    return lambda path, document: path.write_text(json.dumps({**document, field: value}))


def damage(path, document):
    file = path.with_suffix(".onnx")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def garbage(path, document):
    import hashlib

    path.with_suffix(".onnx").write_bytes(b"garbage")
    change("sha256", hashlib.sha256(b"garbage").hexdigest())(path, document)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (damage, "SHA-256 differs"),
        (lambda path, _: path.with_suffix(".onnx").unlink(), "cannot be read"),
        (lambda path, _: path.write_text("{"), "card"),
        (lambda path, _: path.unlink(), "calibrate"),
        (garbage, "cannot open the model: .*cut short or damaged"),
        (change("classes", ["a", "b"]), "7 logits for 2 classes"),
        (change("self_test", [0.0] * 7), "self test"),
        (change("temperature", -1), "temperature"),
        (change("name", "../steel"), "name"),
    ],
)
def test_a_spoilt_model_does_not_load(copy, spoil, why, tmp_path):
    path, document = copy
    spoil(path, document)
    with pytest.raises(serving.ModelError, match=why) as caught:
        serving.Model.load(path)
    assert str(tmp_path) not in str(caught.value)


def test_a_kept_model_outlives_its_original(copy, tmp_path):
    path, _ = copy
    kept = serving.keep(path, tmp_path / "kept")
    path.with_suffix(".onnx").write_bytes(b"garbage")
    assert np.isfinite(serving.Model.load(kept).run(serving.pattern())).all()
    with pytest.raises(serving.ModelError):
        serving.keep(path, tmp_path / "kept")


def test_a_gpu_that_is_not_there_is_said_and_nothing_falls_back_to_the_cpu():
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this machine has the GPU runtime")
    with pytest.raises(
        serving.ModelError, match="no CUDAExecutionProvider: install onnxruntime-gpu, or use --device cpu"
    ):
        serving.Model.load(DEFAULT_MODEL, "cuda")
