"""Somebody else's network in every runtime: the right answers, or one sentence."""

import numpy as np
import pytest
import torch

from cvprod.models.own import Examples, beside, open_network
from cvprod.runtimes import __main__ as command
from cvprod.runtimes import own


class Coloured(torch.nn.Module):
    """Three channels, another size, four classes; with `boxes` a second output."""

    def __init__(self, boxes: bool = False) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.conv, self.norm = torch.nn.Conv2d(3, 16, 5, stride=4), torch.nn.BatchNorm2d(16)
        self.head, self.boxes = torch.nn.Linear(16, 4), boxes
        torch.nn.init.normal_(self.head.weight, std=4)

    def forward(self, x):
        features = torch.relu(self.norm(self.conv(x)))
        scores = self.head(features.mean((2, 3)))
        return {"boxes": features.flatten(1)[:, :8], "scores": scores} if self.boxes else scores


def exported(path, net, batch, dynamic):
    shapes = ({0: torch.export.Dim("b")},) if dynamic else None
    example = torch.zeros(batch, 3, 40, 56)
    torch.onnx.export(net.eval(), (example,), path, dynamo=True, dynamic_shapes=shapes, external_data=False,
                      verbose=False)  # fmt: skip
    return path


def wanted(net, images):
    with torch.no_grad():
        return net.eval()(torch.from_numpy(images))


def test_a_module_agrees_with_itself_in_every_runtime(tmp_path):
    network = open_network(Coloured(), input=(3, 40, 56))
    images = network.examples(12)
    labels = wanted(network.module, images).argmax(1).numpy()
    some = ("PyTorch eager", "ONNX Runtime", "OpenVINO", "ONNX Runtime INT8", "LiteRT")
    table, left_out = own.measured(network, tmp_path, Examples(images, labels), images, only=some, repeats=2)
    assert not left_out and list(table.index) == ["PyTorch eager", "ONNX Runtime", "OpenVINO", "LiteRT",
                                                  "ONNX Runtime INT8"]  # fmt: skip
    assert (table["accuracy, %"].drop("ONNX Runtime INT8") == 100).all()
    assert (table["largest difference, %"].drop("ONNX Runtime INT8") < 0.01).all()
    assert 0.01 < table["largest difference, %"]["ONNX Runtime INT8"] < 10


@pytest.mark.parametrize(("batch", "dynamic"), [(2, True), (1, False), (4, False)])
def test_an_onnx_file_of_any_batch(batch, dynamic, tmp_path):
    net = Coloured()
    network = open_network(exported(tmp_path / "net.onnx", net, batch, dynamic))
    images = network.examples(6)  # two more than a batch of four: the last piece is filled up and cut again
    chosen = own.lineup(network, ("OpenVINO", "ONNX Runtime INT8"))
    files, left_out = own.convert(network, tmp_path, images, chosen)
    runs, refused = own.load(files, network, 1, chosen)
    assert not left_out and not refused and list(runs) == ["ONNX Runtime", "OpenVINO", "ONNX Runtime INT8"]
    for label, run in runs.items():
        tolerance = 0.1 if "INT8" in label else 1e-4
        truth = wanted(net, images).numpy()
        assert np.abs(run(images) - truth).max() < tolerance * np.ptp(truth)


def test_several_outputs_are_all_compared(tmp_path):
    net = Coloured(boxes=True)
    network = open_network(exported(tmp_path / "two.onnx", net, 2, True))
    assert len(network.outputs) == 2
    images = network.examples(5)
    table, left_out = own.measured(network, tmp_path, Examples(images), images, only=["OpenVINO"], repeats=2)
    assert not left_out and "same class, %" not in table and (table["same shape, %"] == 100).all()
    assert table["largest difference, %"]["OpenVINO"] < 0.01
    run = own.load({"ONNX Runtime": network.file}, network, 1, own.lineup(network))[0]["ONNX Runtime"]
    for found, truth in zip(run.all(images), wanted(net, images).values(), strict=True):
        assert np.allclose(found, truth.numpy(), atol=1e-4)


def test_a_wrong_answer_is_seen(tmp_path):
    images = open_network(Coloured(), input=(3, 40, 56)).examples(4)
    truth = [[np.eye(4, dtype=np.float32)]]
    moved = [[np.eye(4, dtype=np.float32)[::-1]]]
    assert beside(truth, truth)[0] * 100 == 0
    assert beside(moved, truth)[0] * 100 == pytest.approx(100)
    difference, alike = beside([[images[:2]]], [[images]])
    assert alike * 100 == 0 and np.isnan(difference)


def test_what_one_runtime_cannot_do_leaves_the_others(tmp_path):
    class Sorted(torch.nn.Module):
        def forward(self, x):
            if x.sum() > 1e9:  # Python decides by the data, which no exporter can record
                return x.flatten(1)[:, :3]
            return x.mean((2, 3)) * torch.tensor([1.0, 2, 3])

    network = open_network(Sorted(), input=(3, 8, 8))
    images = network.examples(4)
    table, left_out = own.measured(network, tmp_path, Examples(images), images,
                                   only=["PyTorch eager", "ONNX Runtime"], repeats=2)  # fmt: skip
    assert list(table.index) == ["PyTorch eager"] and list(left_out) == ["ONNX Runtime"]
    assert len(left_out["ONNX Runtime"]) < 250 and "\n" not in left_out["ONNX Runtime"]


def test_a_module_that_takes_one_picture_is_given_one(tmp_path):
    class Alone(Coloured):
        def forward(self, x):
            return super().forward(x).reshape(1, 4)

    network = open_network(Alone(), input=(3, 40, 56))
    assert network.batch == 1 and open_network(Coloured(), input=(3, 40, 56)).batch is None
    images = network.examples(4)
    table, left_out = own.measured(network, tmp_path, Examples(images), images,
                                   only=["ONNX Runtime", "OpenVINO INT8"], repeats=2)  # fmt: skip
    assert not left_out and (table["same class, %"][["PyTorch eager", "ONNX Runtime"]] == 100).all()


def test_the_command_prints_a_table_or_a_sentence(tmp_path, capsys):
    path = exported(tmp_path / "net.onnx", Coloured(), 2, True)
    words = ["--only", "OpenVINO", "--repeats", "2", "--examples", "4", "--calibration", "4"]
    assert command.main([str(path), *words, "--csv", str(tmp_path / "t.csv")]) == 0
    said = capsys.readouterr().out
    assert "3x40x56 float32" in said and "OpenVINO" in said and "same class, %" in (tmp_path / "t.csv").read_text()
    assert command.main([str(tmp_path / "none.onnx")]) == 1
    assert "is not there" in capsys.readouterr().err
    assert command.main([str(path), "--only", "LiteRT"]) == 1
    assert "an ONNX file can be run with" in capsys.readouterr().err


def test_capitals_and_weights_beside_a_file_do_not_matter(tmp_path):
    torch.onnx.export(Coloured().eval(), (torch.zeros(2, 3, 40, 56),), tmp_path / "a.onnx", dynamo=True, verbose=False,
                      dynamic_shapes=({0: torch.export.Dim("b")},), external_data=True)  # fmt: skip
    network = open_network((tmp_path / "a.onnx").rename(tmp_path / "A.ONNX"))
    images = network.examples(4)
    table, left_out = own.measured(network, tmp_path, Examples(images), images, repeats=2)
    assert not left_out and table.attrs["remarks"] == []
    assert table["file, MB"]["OpenVINO"] == table["file, MB"]["ONNX Runtime"] > 0.004


def test_a_table_is_written_only_to_a_csv(tmp_path, capsys):
    path = exported(tmp_path / "net.onnx", Coloured(), 2, True)
    before = path.read_bytes()
    with pytest.raises(SystemExit):
        command.main([str(path), "--csv", str(path)])
    assert "ends in .csv" in capsys.readouterr().err and path.read_bytes() == before
