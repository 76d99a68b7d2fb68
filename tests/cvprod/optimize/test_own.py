"""The techniques on somebody else's network: pruned for real, right answers, and sentences in place of tracebacks."""

import numpy as np
import pytest
import torch
from torchvision.models import resnet18, squeezenet1_1

from cvprod import models, surface
from cvprod.models.own import Examples, open_network
from cvprod.optimize import __main__ as command
from cvprod.optimize import fuse, own, prune


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
