"""The techniques on somebody else's network: pruned for real, right answers, and sentences in place of tracebacks."""

import numpy as np
import onnx
import pytest
import torch
from torchvision.models import resnet18, squeezenet1_1

from cvprod import models, surface
from cvprod.models.own import Examples, open_network
from cvprod.optimize import __main__ as command
from cvprod.optimize import fuse, own, prune, quantize


class Small(torch.nn.Module):
    """Two convolutions with a shortcut, RGB in, five classes out."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.stem, self.one = torch.nn.Conv2d(3, 32, 4, stride=4), torch.nn.Conv2d(32, 32, 3, padding=1)
        self.head = torch.nn.Linear(32, 5)
        torch.nn.init.normal_(self.head.weight, std=4)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        return self.head((x + torch.relu(self.one(x))).mean((2, 3)))


ONE = torch.zeros(1, 3, 64, 48)


def test_channels_of_another_network_are_really_gone():
    smaller = prune.channels(Small().eval(), 0.5, example=ONE)
    assert smaller.stem.out_channels == smaller.one.out_channels == 16 and smaller.head.out_features == 5
    assert smaller(ONE).shape == (1, 5)


@pytest.mark.parametrize("builder", [resnet18, squeezenet1_1])  # a linear layer at the end, and a convolution
def test_networks_of_torchvision_keep_their_classes(builder):
    model, one = builder(num_classes=9), torch.zeros(1, 3, 64, 64)
    smaller = prune.channels(model, 0.5, example=one)
    assert smaller(one).shape == (1, 9) and prune.state_bytes(smaller) < 0.6 * prune.state_bytes(model)


def test_what_cannot_be_pruned_or_exported_gets_a_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"1x96x96.*give `channels` an example"):
        prune.channels(Small(), 0.5)  # takes three channels
    vit = torch.nn.Sequential(torch.nn.Flatten(1), torch.nn.Unflatten(1, (4, 48)),
                              torch.nn.TransformerEncoderLayer(48, 2, batch_first=True))  # fmt: skip
    with pytest.raises(ValueError, match="attention"):
        prune.channels(vit, 0.5, example=torch.zeros(1, 3, 8, 8))
    with pytest.raises(ValueError, match="nothing could be taken"):
        prune.channels(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(16, 2)), 0.5,
                       example=torch.zeros(1, 3, 4, 4))  # fmt: skip
    with pytest.raises(ValueError, match="give export an example"):
        fuse.export(Small(), tmp_path / "x.onnx")
    with pytest.raises(ValueError, match="does not take tiles"):
        models.evaluate(models.predictor(Small()), surface.make_set(2, 1))


def test_every_technique_is_held_against_the_network(tmp_path):
    network = open_network(Small(), input=(3, 64, 48))
    images = network.examples(8)
    with torch.no_grad():
        labels = network.module(torch.from_numpy(images)).argmax(1).numpy()
    made, left_out = own.candidates(network, images, tmp_path, ratios=(0.5,))
    table = own.board(made, Examples(images, labels), repeats=3)
    assert not left_out and table.index[0] == "PyTorch eager" and "50% of channels gone" in table.index
    assert table["accuracy, %"][["PyTorch eager", "ONNX Runtime"]].tolist() == [100, 100]
    assert table["moved, %"]["ONNX Runtime"] < 0.01 < table["moved, %"]["ONNX Runtime INT8"] < 10
    assert table["file, MB"]["50% of channels gone"] < 0.6 * table["file, MB"]["ONNX Runtime"]


def test_a_pruned_network_takes_the_graph_that_is_there(tmp_path, monkeypatch):
    network = open_network(Small(), input=(3, 64, 48))
    source = fuse.export(network.module, tmp_path / "whole.onnx", example=network.example)
    export = fuse.export
    monkeypatch.setattr(fuse, "export", lambda *_, **__: pytest.fail("exported again"))
    quick = own._pruned(network, source, 0.5, tmp_path / "quick.onnx")
    smaller = prune.channels(network.module, 0.5, example=network.example)
    slow = export(smaller, tmp_path / "slow.onnx", example=network.example)
    one = network.examples(1)
    answers = [
        fuse.session(path).run(None, {fuse.session(path).get_inputs()[0].name: one})[0] for path in (quick, slow)
    ]
    np.testing.assert_allclose(*answers, atol=1e-4)
    assert np.ptp(answers[0]) > 0


def test_a_file_of_a_fixed_batch(tmp_path):
    path = tmp_path / "four.onnx"
    torch.onnx.export(
        Small().eval(), (torch.zeros(4, 3, 64, 48),), path, dynamo=True, external_data=False, verbose=False
    )
    network = open_network(path)
    images = network.examples(8)
    made, left_out = own.candidates(network, images, tmp_path)
    assert not left_out and "4 at a time" in made["ONNX Runtime"].note
    with torch.no_grad():
        wanted = Small().eval()(torch.from_numpy(images[:1])).numpy()
    for label, candidate in made.items():
        (found,) = candidate.predict(images[:1])
        assert np.abs(found - wanted).max() < (0.2 if "INT8" in label or label == "OpenVINO" else 1e-3) * np.ptp(wanted)


def test_the_commands(tmp_path, capsys, monkeypatch):
    (tmp_path / "nets_of_mine.py").write_text(
        "import torch\ndef small():\n    return torch.nn.Sequential(torch.nn.Conv2d(3, 32, 4, 4), torch.nn.ReLU(),\n"
        "        torch.nn.Conv2d(32, 32, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),\n"
        "        torch.nn.Linear(32, 5))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    out = tmp_path / "pruned.onnx"
    words = ["prune", "nets_of_mine:small", "--input", "3x40x40", "--out", str(out)]
    assert command.main(words) == 0 and out.is_file()
    assert "parameters, written to" in capsys.readouterr().out
    assert command.main(["prune", str(out)]) == 1 and "PyTorch module" in capsys.readouterr().err
    assert command.main(["compare", str(out), "--repeats", "2", "--examples", "3"]) == 0
    assert "ONNX Runtime INT8" in capsys.readouterr().out
    assert command.main(["compare", str(tmp_path / "none.onnx")]) == 1


class Painter(torch.nn.Module):
    """Ends in a transposed convolution, as networks that draw do."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = torch.nn.Conv2d(3, 32, 3, 2, 1), torch.nn.ConvTranspose2d(32, 16, 2, 2)

    def forward(self, x):
        return self.up(torch.relu(self.down(x)))


class Twice(torch.nn.Module):
    """Two convolutions that are one tensor; what follows them prunes each in its own way."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.a = torch.nn.Conv2d(3, 32, 3), torch.nn.Conv2d(32, 32, 3)
        self.b, self.head = torch.nn.Conv2d(32, 32, 3), torch.nn.Linear(32, 4)
        self.b.weight = self.a.weight

    def forward(self, x):
        return self.head(torch.relu(self.b(torch.relu(self.a(torch.relu(self.stem(x)))))).mean((2, 3)))


def test_a_transposed_convolution_at_the_end_keeps_its_channels():
    smaller = prune.channels(Painter(), 0.5, example=ONE)
    assert smaller(ONE).shape == (1, 16, 64, 48) and smaller.down.out_channels == 16


def test_pruning_that_would_make_a_network_larger_says_so():
    with pytest.raises(ValueError, match="would grow"):
        prune.channels(Twice(), 0.25, example=ONE)


def test_prune_writes_over_nothing_but_an_onnx_file_and_only_when_it_is_whole(tmp_path, capsys, monkeypatch):
    source = tmp_path / "my_small.py"
    source.write_text("import torch\ndef net(): return torch.nn.Sequential(torch.nn.Conv2d(3, 32, 3),"
                      " torch.nn.Conv2d(32, 32, 3), torch.nn.Flatten())\n")  # fmt: skip
    words = ["prune", f"{source}:net", "--input", "3x12x12"]
    before = source.read_bytes()
    assert command.main([*words, "--out", str(source)]) == 1
    assert "ends in .onnx" in capsys.readouterr().err and source.read_bytes() == before
    old = tmp_path / "old.onnx"
    old.write_bytes(b"precious")

    def torn(model, path, **_):
        path.write_bytes(b"half")
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(fuse, "export", torn)
        assert command.main([*words, "--out", str(old)]) == 1
    assert old.read_bytes() == b"precious"
    assert command.main([*words, "--out", str(old)]) == 0 and old.stat().st_size > 1000


def _file(path, net, beside=False):
    torch.onnx.export(net.eval(), (torch.cat([ONE, ONE]),), path, dynamo=True, verbose=False, external_data=beside,
                      dynamic_shapes=({0: torch.export.Dim("b")},))  # fmt: skip
    return path


def _by_hand(path, opset):
    """One convolution in the operators of `opset`; its weight stands first among the inputs, as once was usual."""
    weight = onnx.numpy_helper.from_array(np.full((8, 3, 3, 3), 0.1, np.float32), "w")
    ends = [onnx.helper.make_tensor_value_info(name, 1, shape)
            for name, shape in (("w", [8, 3, 3, 3]), ("x", ["N", 3, 9, 9]), ("y", ["N", 8, 7, 7]))]  # fmt: skip
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Conv", ["x", "w"], ["y"])], "g", ends[:2], ends[2:], [weight]
    )
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=8), path)
    return path


@pytest.mark.parametrize("kind", [9, onnx.defs.onnx_opset_version(), "weights beside it"])
def test_files_of_any_opset_and_with_weights_beside_them_are_quantised(tmp_path, kind):
    path = tmp_path / "a.onnx"
    network = open_network(_by_hand(path, kind) if isinstance(kind, int) else _file(path, Painter(), beside=True))
    pictures = network.examples(6)
    made, left_out = own.candidates(network, pictures[3:], tmp_path / "work")
    assert not left_out and own.board(made, Examples(pictures[:3]), repeats=2)["moved, %"].max() < 10


def test_many_classes_survive_int8_behind_a_softmax(tmp_path):
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 16, 8, 8), torch.nn.Flatten(), torch.nn.Linear(16 * 8 * 6, 600))
    network = open_network(_file(tmp_path / "a.onnx", torch.nn.Sequential(net, torch.nn.Softmax(1))))
    pictures = network.examples(8)
    made, _ = own.candidates(network, pictures, tmp_path / "work")
    moved = own.board(made, Examples(pictures), repeats=2)["moved, %"]
    assert moved["ONNX Runtime INT8"] < 25  # rounded to 1/256, nearly all would be 0


def test_a_second_int8_is_refused_and_what_hangs_on_a_failure_says_so(tmp_path):
    once = quantize.static_qdq(_file(tmp_path / "a.onnx", Small()), tmp_path / "b.onnx",
                               open_network(tmp_path / "a.onnx").examples(4))  # fmt: skip
    with pytest.raises(ValueError, match="quantised already"):
        quantize.static_qdq(once, tmp_path / "c.onnx", np.zeros((2, 3, 64, 48), np.float32))

    class Undecided(Small):
        def forward(self, x):
            return super().forward(x) if x.sum() < 1e9 else x

    network = open_network(Undecided(), input=(3, 64, 48))
    made, left_out = own.candidates(network, network.examples(2), tmp_path / "work", ratios=())
    assert list(made) == ["PyTorch eager"]
    assert all("could not be made" in left_out[label] for label in ("OpenVINO", "ONNX Runtime INT8", "OpenVINO INT8"))
