"""A network of one's own: what it takes is read from it or found out, and every file that is none gets a sentence."""

import argparse
import sys

import cv2
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from cvprod.models import own
from cvprod.models.own import NetworkError, load_examples, open_network

FACTORIES = """
import torch
def rgb():
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
                               torch.nn.Linear(4, 5))
def odd():
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(2 * 7 * 9, 3)), torch.zeros(1, 2, 7, 9)
def fails():
    raise RuntimeError("no weights on this disk")
def no_module():
    return 3
def brain():
    return rgb().bfloat16()
def picky():
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(33, 3))
class Detector(torch.nn.Module):
    def forward(self, x):
        return {"boxes": x.flatten(1)[:, :4], "scores": x.mean((2, 3))}
"""


@pytest.fixture
def factories(tmp_path):
    path = tmp_path / "my_nets.py"
    path.write_text(FACTORIES)
    yield path
    sys.modules.pop("my_nets", None)


def onnx_file(path, shape, kind=TensorProto.FLOAT, inputs=("x",), outputs=("y",)):
    """A file whose every output is the sum of its inputs."""
    given = [helper.make_tensor_value_info(name, kind, shape) for name in inputs]
    taken = [helper.make_tensor_value_info(name, kind, shape) for name in outputs]
    nodes = [helper.make_node("Sum", list(inputs), [name]) for name in outputs]
    opset = [helper.make_opsetid("", 20)]
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", given, taken), opset_imports=opset), path)
    return path


def test_a_file_says_what_it_takes(tmp_path):
    network = open_network(onnx_file(tmp_path / "a.onnx", ["N", 3, 50, 40], outputs=("boxes", "scores")))
    assert (network.input, network.dtype, network.batch) == ((3, 50, 40), np.float32, None)
    assert network.outputs == ("boxes", "scores") and not network.guessed
    fixed = open_network(onnx_file(tmp_path / "b.onnx", [1, 1, 8, 8], TensorProto.UINT8))
    assert (fixed.dtype, fixed.batch) == (np.uint8, 1)


def test_an_open_side_is_asked_for_and_checked(tmp_path):
    path = onnx_file(tmp_path / "open.onnx", ["N", 3, "h", "w"])
    with pytest.raises(NetworkError, match=r"3x\?x\?.*say which shape"):
        open_network(path)
    assert open_network(path, input="3x64x48").input == (3, 64, 48)
    with pytest.raises(NetworkError, match="not 1x64x48"):
        open_network(path, input="1x64x48")
    with pytest.raises(NetworkError, match="no shape"):
        open_network(path, input="big")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"<!doctype html><title>Sign in</title>", "web page"),
        (b"\x08\x07\x12\x05ab", "damaged"),
    ],
)
def test_what_is_no_onnx_file_is_named(tmp_path, content, says):
    (tmp_path / "x.onnx").write_bytes(content)
    with pytest.raises(NetworkError, match=says):
        open_network(tmp_path / "x.onnx")
    with pytest.raises(NetworkError, match="is not there"):
        open_network(tmp_path / "none.onnx")


def test_inputs_that_are_no_picture_are_refused(tmp_path):
    with pytest.raises(NetworkError, match="2 inputs"):
        open_network(onnx_file(tmp_path / "two.onnx", ["N", 3], inputs=("a", "b")))
    with pytest.raises(NetworkError, match="int64"):
        open_network(onnx_file(tmp_path / "words.onnx", ["N", 9], TensorProto.INT64))


def test_a_module_is_asked_what_it_takes(factories):
    network = open_network(f"{factories}:rgb")
    assert network.input == (3, 224, 224) and network.guessed
    assert open_network(f"{factories}:rgb", input="3x17x19").input == (3, 17, 19)
    odd = open_network(f"{factories}:odd")
    assert odd.input == (2, 7, 9) and not odd.guessed
    assert open_network(f"{factories}:Detector").outputs == ("boxes", "scores")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("fails", "no weights on this disk"), ("no_module", "gives int"), ("brain", "bfloat16"), ("picky", "say what"),
        ("absent", "no function called absent"),
    ],
)  # fmt: skip
def test_a_factory_that_gives_no_network_is_named(factories, name, says):
    with pytest.raises(NetworkError, match=says):
        open_network(f"{factories}:{name}")


@pytest.mark.parametrize("source", ["resnet", "no.such.module:net", "models:"])
def test_what_is_neither_file_nor_factory_is_refused(source):
    with pytest.raises(NetworkError, match=r"neither|does not import"):
        open_network(source)


def test_examples_are_in_range_and_differ(tmp_path):
    network = open_network(onnx_file(tmp_path / "a.onnx", ["N", 3, 50, 40]))
    images = network.examples(3)
    assert images.shape == (3, 3, 50, 40) and images.dtype == np.float32 and 0 <= images.min() < images.max() <= 1
    assert not np.array_equal(images[0], images[1]) and np.array_equal(images, network.examples(3))
    assert network.examples(2, pixels=(-2, 2)).min() < -1
    with pytest.raises(NetworkError, match=r"shape \(N, 3, 50, 40\)"):
        network.check(np.zeros((2, 1, 96, 96), np.float32))


@pytest.fixture
def folder(tmp_path):
    for k, name in enumerate(("dent", "fine", "rust")):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(2):
            picture = np.full((30, 20, 3), (0, 0, 60 * (k + 1)), np.uint8)  # red, as OpenCV writes it
            cv2.imwrite(str(tmp_path / "data" / name / f"{i}.png"), picture)
    return tmp_path / "data"


def test_any_class_names_and_channels_can_be_read(folder, tmp_path):
    network = open_network(onnx_file(tmp_path / "a.onnx", ["N", 3, 10, 10]))
    held = load_examples(folder, network)
    assert held.classes == ("dent", "fine", "rust") and sorted(held.labels) == [0, 0, 1, 1, 2, 2]
    red = held.images[:, 0].mean((1, 2)) * 255
    assert np.allclose(red, 60 * (held.labels + 1)) and not held.images[:, 1:].any()
    turned = load_examples(folder, network, classes=("rust", "fine", "dent", "scratch"))
    assert np.allclose(turned.images[:, 0].mean((1, 2)) * 255, 60 * (3 - turned.labels))
    with pytest.raises(NetworkError, match="no class: dent"):
        load_examples(folder, network, classes=("fine", "rust"))


def test_what_is_no_data_is_named(folder, tmp_path):
    network = open_network(onnx_file(tmp_path / "a.onnx", ["N", 3, 10, 10]))
    with pytest.raises(NetworkError, match="neither a folder"):
        load_examples(tmp_path / "none", network)
    (folder / "rust" / "0.png").write_bytes(b"nothing")
    with pytest.raises(NetworkError, match=r"0\.png"):
        load_examples(folder, network)
    np.savez(tmp_path / "x.npz", images=np.zeros((2, 3, 10, 10), np.float32), labels=np.zeros(3, int))
    with pytest.raises(NetworkError, match="one for each of the 2"):
        load_examples(tmp_path / "x.npz", network)


def test_calibration_and_comparison_share_no_example(folder, tmp_path):
    path = onnx_file(tmp_path / "a.onnx", ["N", 3, 10, 10])
    contract = tmp_path / "contract.yaml"
    contract.write_text("own: {}\nclasses: {names: [rust, fine, dent], clean: fine}\nmemory_mb: {limit: 9, "
                        "says: The phone has so much, why: We asked its maker for it}\n")  # fmt: skip
    parser = argparse.ArgumentParser()
    own.add_arguments(parser)
    words = [str(path), "--data", str(folder), "--contract", str(contract), "--examples", "4", "--calibration", "2"]
    network, examples, calibration = own.opened(parser.parse_args(words))
    assert len(calibration) == 2 and len(examples) == 4 and examples.classes == ("rust", "fine", "dent")
    assert network.input == (3, 10, 10) and "4 examples with labels" in own.describe(network, examples)
    with pytest.raises(NetworkError, match="at least 1"):
        own.opened(parser.parse_args([*words[:1], "--repeats", "0"]))


def test_answers_of_several_parts_are_named_by_their_parts():
    a, b = torch.zeros(1, 2), torch.zeros(3)
    assert list(own.leaves(a)) == ["output"]
    assert list(own.leaves((a, b))) == ["0", "1"]
    assert list(own.leaves({"boxes": a, "scores": b})) == ["boxes", "scores"]
    assert list(own.leaves([{"boxes": a, "scores": b}])) == ["boxes", "scores"]  # a detector's, for one picture
    assert list(own.leaves([{"boxes": a}, {"boxes": a}])) == ["0.boxes", "1.boxes"]


STRANGE = """
import sys
import torch
from torch import nn
class Two(nn.Module):
    def forward(self, x, y):
        return x.mean((2, 3)) + y
def two(): return Two()
def exits(): sys.exit("usage: train.py")
def meta(): return nn.Linear(3, 2, device="meta")
def counted(): return nn.Flatten(), torch.zeros(1, 9, dtype=torch.int64)
def scripted(): return torch.jit.script(nn.Flatten())
def again(): return torch.export.export(nn.Flatten().eval(), (torch.zeros(1, 3, 4, 4),)).module()
class Mixed(nn.Module):
    def forward(self, x):
        return {"out": [x.mean((2, 3)), {"z": x.amax((2, 3))}], "loss": None, "n": 3}
def normed(): return nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3)), torch.zeros(1, 3, 8, 8)
"""


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("two", "more than one picture"), ("exits", r"usage: train.py"), ("meta", "load its weights"),
        ("counted", "int64, which no picture comes in"), ("scripted", "TorchScript"), ("again", "exported already"),
    ],
)  # fmt: skip
def test_a_module_that_cannot_be_used_is_told_apart_from_a_wrong_shape(tmp_path, name, says):
    (tmp_path / "strange_nets.py").write_text(STRANGE)
    with pytest.raises(NetworkError, match=says):
        open_network(f"{tmp_path / 'strange_nets.py'}:{name}")


def test_what_is_no_tensor_among_answers_is_left_out(tmp_path):
    (tmp_path / "strange_nets.py").write_text(STRANGE)
    network = open_network(f"{tmp_path / 'strange_nets.py'}:Mixed", input=(3, 8, 8))
    assert network.outputs == ("out.0", "out.1.z") and network.batch is None
    assert [value.shape for value in network.module(network.example)] == [(1, 3), (1, 3)]
    normed = open_network(f"{tmp_path / 'strange_nets.py'}:normed").module
    assert isinstance(normed.weight, torch.nn.Parameter) and not hasattr(normed, "parametrizations")


def test_a_file_that_no_runtime_can_take_is_refused_at_once(tmp_path):
    empty = helper.make_graph([], "g", [helper.make_tensor_value_info("x", 1, ["N", 3])], [])
    onnx.save(helper.make_model(empty), tmp_path / "empty.onnx")
    with pytest.raises(NetworkError, match="no operator"):
        open_network(tmp_path / "empty.onnx")
    words = helper.make_graph([helper.make_node("SplitToSequence", ["x"], ["y"])], "g",
                              [helper.make_tensor_value_info("x", 1, ["N", 3])],
                              [helper.make_tensor_sequence_value_info("y", 1, None)])  # fmt: skip
    onnx.save(helper.make_model(words), tmp_path / "words.onnx")
    with pytest.raises(NetworkError, match="y is no tensor"):
        open_network(tmp_path / "words.onnx")
    onnx_file(tmp_path / "a.onnx", ["N", 3, 8, 8]).rename(tmp_path / "a.bin")
    with pytest.raises(NetworkError, match=r"call it a\.bin\.onnx"):
        open_network(tmp_path / "a.bin")
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(NetworkError, match="is a folder"):
        open_network(tmp_path / "folder.onnx")
    with pytest.raises(NetworkError, match="GB while they are made"):
        open_network(onnx_file(tmp_path / "huge.onnx", ["N", 3, 100_000, 100_000])).examples(64)


def test_weights_beside_a_file_are_counted_and_missed(tmp_path):
    path, weights = tmp_path / "a.onnx", np.zeros((3, 4000), np.float32)
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g",
                              [helper.make_tensor_value_info("x", 1, ["N", 3])],
                              [helper.make_tensor_value_info("y", 1, ["N", 4000])],
                              [onnx.numpy_helper.from_array(weights, "w")])  # fmt: skip
    onnx.save(helper.make_model(graph), path, save_as_external_data=True, location="a.data")
    assert own.onnx_bytes(path) > weights.nbytes > path.stat().st_size
    (tmp_path / "a.data").unlink()
    with pytest.raises(NetworkError, match=r"weights in a\.data, which is not beside it"):
        open_network(path)


def test_litter_is_passed_over_and_accents_are_one_letter_or_two(folder, tmp_path):
    (folder / "dent" / "Thumbs.db").write_bytes(b"x")
    (folder / "@eaDir").mkdir()
    (folder / "rust").rename(folder / "Ro\u0308te")  # as a Mac writes it
    network = open_network(onnx_file(tmp_path / "a.onnx", ["N", 3, 10, 10]))
    assert load_examples(folder, network).classes == ("R\u00f6te", "dent", "fine")
    assert load_examples(folder, network, classes=("fine", "dent", "R\u00f6te")).labels.max() == 2


def test_an_npz_that_holds_no_pictures_is_named(tmp_path):
    network = open_network(onnx_file(tmp_path / "a.onnx", ["N", 3, 10, 10]))
    np.savez(tmp_path / "one.npz", images=np.float32(3))
    np.savez(tmp_path / "nan.npz", images=np.full((2, 3, 10, 10), np.nan, np.float32))
    np.savez(tmp_path / "other.npz", pictures=np.zeros(3))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "nan.npz").read_bytes()[:900])
    for name, says in {"one": "no .npz", "nan": "NaN", "other": "called `images`", "cut": "damaged"}.items():
        with pytest.raises(NetworkError, match=says):
            load_examples(tmp_path / f"{name}.npz", network)


def test_sixteen_bits_are_the_same_grey_for_a_network_of_three_channels(tmp_path):
    (tmp_path / "data" / "dent").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "data" / "dent" / "a.png"), np.full((20, 20), 0x4000, np.uint16))
    network = open_network(onnx_file(tmp_path / "a.onnx", ["N", 3, 10, 10]))
    assert np.allclose(load_examples(tmp_path / "data", network).images, 0x40 / 255)


def test_nan_is_equal_to_itself_alone_and_of_no_class():
    rows = np.array([[1.0, 2], [4, 3]], np.float32)
    broken = rows.copy()
    broken[0, 0] = np.nan
    assert own.beside([[broken]], [[broken]]) == (0, 1)
    assert own.beside([[rows]], [[broken]])[0] == own.beside([[broken]], [[rows]])[0] == np.inf
    assert own.same_class(broken, broken) == 0.5 and own.same_class(rows, rows) == 1
    flags = np.array([True, False])
    assert own.beside([[flags]], [[~flags]])[0] == 1
    level = np.full(4, 7, np.float32)  # an output that never varies has no spread to be a share of
    assert own.beside([[level + np.float32(1e-6)]], [[level]])[0] < 1e-6


def test_a_report_says_what_is_wrong_with_the_reference():
    row, held = np.array([[0.0, 1]]), own.Examples(np.zeros((1, 3)), np.array([1]), ("dent", "fine", "rust"))
    (told,) = own.remarks("It", [[row]], [row], [row], held)
    assert "no accuracy" in told and own.labels_of(held, 2) is None and own.labels_of(held, 3) is not None
    assert "differently each time" in own.remarks("It", [[row]], [row], [row + 1], own.Examples(row))[0]
    assert "NaN" in own.remarks("It", [[row * np.nan]], [row], [row], own.Examples(row))[0]


def test_the_place_in_somebody_elses_source_is_not_the_reason():
    ov = RuntimeError(
        "Exception from src/a.cpp:1:\nCheck 'false' failed at src/b.cpp:2:\n-- No conversion rule found\n"
    )
    assert own.first_line(ov) == "No conversion rule found"
    ort = RuntimeError("[ONNXRuntimeError] : 1 : FAIL : Load model from a.onnx failed:/src/m.cc:2 f(int) No such opset")
    assert own.first_line(ort) == "No such opset"
    assert own.first_line(KeyError(0)) == "KeyError: 0"
