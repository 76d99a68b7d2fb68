"""Model files as users have them: whoever runs the service is told what is wrong with one, and the cure."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from cvprod.serving import __main__ as command
from cvprod.serving import model
from cvprod.serving.model import ModelError
from cvprod.surface import CLASSES

TILES = np.random.default_rng(0).integers(0, 256, (40, 1, 96, 96), dtype=np.uint8)
LABELS = np.arange(40) % 7


def made(classes=7, *, softmax=False, opset=17, ir=8, external=False, domain=""):
    """ONNX bytes: mean grey level and its square, through a matrix."""
    weights = numpy_helper.from_array(np.linspace(-1, 1, classes, dtype=np.float32)[None], "w")
    if external:
        weights.ClearField("raw_data")
        weights.data_location = TensorProto.EXTERNAL
        entry = weights.external_data.add()
        entry.key, entry.value = "location", "weights.bin"
    nodes = [
        helper.make_node("Cast", ["pixels"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["x"], ["m4"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Flatten", ["m4"], ["m"]),
        helper.make_node("MatMul", ["m", "w"], ["y" if softmax else "logits"]),
    ]
    if softmax:
        nodes.append(helper.make_node("Softmax", ["y"], ["logits"], axis=1))
    if domain:
        nodes[2] = helper.make_node("Flattened", ["m4"], ["m"], domain=domain)
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["batch", 1, 96, 96])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", classes])],
        [weights],
    )  # fmt: skip
    imports = [helper.make_opsetid("", opset)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    return helper.make_model(graph, opset_imports=imports, ir_version=ir).SerializeToString()


GOOD = made()
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 123456\n"


def calibrate(tmp_path, data):
    file = tmp_path / "m.onnx"
    file.write_bytes(data)
    return model.calibrate(
        file, tmp_path / "m.json", name="m", version="1", classes=CLASSES, tiles=TILES, labels=LABELS
    )


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (LFS, "git lfs pull"),
        (b"\n<!doctype html><title>Sign in</title>", "web page"),
        (b"<html>", "web page"),
        (b"", "empty"),
        (b"PK\x03\x04" + bytes(50), "ZIP"),
        (b"\x80\x02}q\x00.", "pickle"),
        (b'{"name": "steel"}', "JSON"),
        (GOOD[: len(GOOD) // 2], "copy it again"),
        (made(ir=99), "IR version"),
        (made(opset=99), "opset"),
        (made(external=True), "external_data=False"),
        (made(domain="my.operators"), "operators that this runtime does not have"),
    ],
    ids=["lfs", "page", "page 2", "empty", "zip", "pickle", "json", "cut", "ir", "opset", "external", "operator"],
)
def test_a_file_that_is_no_model_is_named_with_its_cure(tmp_path, data, words):
    with pytest.raises(ModelError) as caught:
        calibrate(tmp_path, data)
    said = str(caught.value)
    assert words in said and str(tmp_path) not in said and "\n" not in said and len(said) < 500


@pytest.mark.parametrize("classes", [6, 8])
def test_another_number_of_classes_is_a_sentence(tmp_path, classes):
    with pytest.raises(ModelError, match=f"gives {classes} logits; there are 7"):
        calibrate(tmp_path, made(classes))


def test_a_softmax_inside_is_found(tmp_path):
    with pytest.raises(ModelError, match="softmax"):
        calibrate(tmp_path, made(softmax=True))
    card = calibrate(tmp_path, GOOD)  # and logits are not taken for one
    assert card.temperature > 0
    loaded = model.Model.load(tmp_path / "m.json")
    assert not model.is_softmax(loaded.run(TILES)) and model.is_softmax(loaded.probabilities(loaded.run(TILES)))


def test_a_served_model_is_held_to_it_too(tmp_path):
    data = made(softmax=True)
    session = model.open_session(data)
    card = calibrate(tmp_path, GOOD)
    with pytest.raises(ModelError, match="probabilities, not logits"):
        model.Model(card, session).check()


def test_the_samples_are_models():
    onnx.checker.check_model(onnx.load_from_string(GOOD))


def test_a_card_is_never_written_over_the_model(tmp_path, capsys):
    path = tmp_path / "mine.onnx"
    path.write_bytes(GOOD)
    with pytest.raises(SystemExit):
        command.main(["calibrate", str(path), "--tiles", "20", "--out", str(path)])
    assert "ends in .json" in capsys.readouterr().err and path.read_bytes() == GOOD
    assert command.main(["calibrate", str(path), "--tiles", "20", "--name", "../x"]) == 3
    assert "name '../x'" in (said := capsys.readouterr().err) and "pydantic" not in said
