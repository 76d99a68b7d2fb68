"""Fusion changes the arithmetic, never the function."""

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from cvprod import optimize
from cvprod.models import build, predictor
from cvprod.optimize import fuse
from cvprod.optimize.student import student


def _shaken(model: nn.Module) -> nn.Module:
    """BatchNorms with statistics and weights that are not the neutral ones, so that a forgotten term shows."""
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_mean, module.bias.data):
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.2)
            for tensor in (module.running_var, module.weight.data):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return model.eval()


@pytest.mark.parametrize("bias", [False, True])
def test_folding_one_pair_is_exact(bias):
    torch.manual_seed(0)
    pair = _shaken(nn.Sequential(nn.Conv2d(3, 5, 3, bias=bias), nn.BatchNorm2d(5)))
    x = torch.randn(2, 3, 9, 9)
    with torch.no_grad():
        torch.testing.assert_close(fuse.fold_conv_bn(*pair)(x), pair(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["student", "resnet18"])
def test_folding_a_network_leaves_no_batchnorm_and_the_same_answers(name):
    torch.manual_seed(0)
    model = _shaken(student() if name == "student" else build(name))
    x = torch.randint(0, 256, (2, 1, 96, 96))
    folded = fuse.fold_batchnorms(model)
    assert fuse.count(model, nn.BatchNorm2d) > 0 == fuse.count(folded, nn.BatchNorm2d)
    with torch.no_grad():
        torch.testing.assert_close(folded(x), model(x), atol=1e-3, rtol=1e-3)


def test_what_is_recorded_is_a_copy_that_computes_the_same():
    model = _shaken(build("mobilenet_v3_small")).train()
    copied = fuse.recordable(model)
    assert model.training and not copied.training
    assert fuse.count(copied, nn.BatchNorm2d) == 0 < fuse.count(model, nn.BatchNorm2d)
    assert [any(getattr(m, "inplace", False) for m in net.modules()) for net in (model, copied)] == [True, False]
    x = torch.randint(0, 256, (2, 1, 96, 96))
    with torch.no_grad():
        torch.testing.assert_close(copied(x), model.eval()(x), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("width", [1, 3])
def test_a_network_that_is_not_in_the_order_of_its_data_keeps_its_batchnorms(width):
    class Backwards(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(1)

        def forward(self, x):
            return self.conv(self.norm(x.float()).relu()).mean((2, 3))

    model = _shaken(Backwards())
    x = torch.randint(0, 256, (2, 1, 96, 96))
    with torch.no_grad():
        torch.testing.assert_close(fuse.recordable(model)(x), model(x))


@pytest.mark.parametrize("options", [{"affine": False}, {"track_running_stats": False}])
def test_a_batchnorm_without_numbers_of_its_own_stays(options):
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2, **options)).eval()
    assert fuse.count(fuse.fold_batchnorms(model), nn.BatchNorm2d) == 1


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    torch.manual_seed(0)
    model = _shaken(student(16, (16, 16), (16, 16)))
    return model, fuse.export(model, tmp_path_factory.mktemp("onnx") / "net.onnx")


@pytest.mark.parametrize("level", fuse.LEVELS)
@pytest.mark.parametrize("batch", [1, 3])
def test_every_level_and_batch_gives_the_eager_answer(exported, level, batch):
    model, path = exported
    images = np.random.default_rng(0).integers(0, 256, (batch, 1, 96, 96), dtype=np.uint8)
    np.testing.assert_allclose(fuse.onnx_predict(path, level=level)(images), predictor(model)(images), atol=1e-3)


def test_optimisation_leaves_fewer_operators(exported):
    _, path = exported
    none, best = fuse.operators(path), fuse.operators(path, level="all")
    assert best.total() < none.total() and none["Relu"] > best["Relu"]
    assert none["BatchNormalization"] == 0  # folded by the exporter already


@pytest.mark.parametrize("widths", [(16, (16, 16), (16, 16)), (24, (8, 16), (24, 48))], ids=["same", "other"])
def test_other_weights_and_widths_in_the_same_graph_are_what_an_export_would_be(exported, tmp_path, widths):
    torch.manual_seed(1)
    other = _shaken(student(*widths))
    images = np.random.default_rng(0).integers(0, 256, (3, 1, 96, 96), dtype=np.uint8)
    quick, slow = fuse.with_weights(exported[1], other, tmp_path / "new" / "n.onnx"), fuse.export(other, tmp_path / "n")
    onnx.checker.check_model(quick, full_check=True)
    answer = fuse.onnx_predict(quick)(images)
    np.testing.assert_allclose(answer, fuse.onnx_predict(slow)(images), atol=1e-6)  # sums may come in another order
    assert fuse.operators(quick, level="all").total() <= fuse.operators(slow, level="all").total()
    assert np.abs(answer - fuse.onnx_predict(exported[1])(images)).max() > 0.1


def _strided(model):
    """All weights keep their names and shapes, but a block no longer halves the side."""
    model.body.blocks[1].reduce[0].stride = model.body.blocks[1].skip[0].stride = (1, 1)
    return model


def _dilated(model):
    model.body.stem[0].dilation = model.body.stem[0].padding = (2, 2)
    return model


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (lambda: student(16, (16,), (16,)), "only it has body.blocks.1"),
        (lambda: student(16, (16, 16, 16), (16, 16, 16)), "only the network has body.blocks.2"),
        (lambda: _dilated(student(16, (16, 16), (16, 16))), "apart"),
        (lambda: _strided(student(16, (16, 16), (16, 16))), "apart"),
    ],
    ids=["shorter", "longer", "dilated", "strided"],
)
def test_another_architecture_needs_an_export_of_its_own(exported, tmp_path, other, why):
    with pytest.raises(ValueError, match=f"another architecture: .*{why}.*Export the network itself"):
        fuse.with_weights(exported[1], _shaken(other()), tmp_path / "net.onnx")
    assert not (tmp_path / "net.onnx").exists()


def test_wrong_level_and_missing_file_say_so(exported, tmp_path):
    with pytest.raises(ValueError, match="extended"):
        fuse.session(exported[1], level="fastest")
    with pytest.raises(FileNotFoundError, match="export"):
        fuse.session(tmp_path / "no.onnx")


def test_tiles_that_a_graph_would_round_to_black_are_refused(exported):
    predict, tiles = fuse.onnx_predict(exported[1]), np.full((2, 1, 96, 96), 200, np.uint8)
    for wrong in (np.float32, np.int64):
        with pytest.raises(ValueError, match="0 to 255"):
            predict((tiles / 255).astype(wrong))
    assert predict(tiles).shape == (2, 7)


def test_batchnorms_stand_alone_again_and_a_runtime_folds_them(exported, tmp_path):
    model, path = optimize.load_student(), tmp_path / "unfolded.onnx"
    folded = fuse.export(model, tmp_path / "folded.onnx")
    fuse.unfolded(folded, model, path)
    tiles = np.random.default_rng(0).integers(0, 256, (3, 1, 96, 96), dtype=np.uint8)
    assert np.allclose(fuse.onnx_predict(path)(tiles), fuse.onnx_predict(folded)(tiles), atol=1e-3)
    norms = fuse.count(model, torch.nn.BatchNorm2d)
    assert fuse.operators(path)["BatchNormalization"] == norms > 0
    assert (
        fuse.operators(folded)["BatchNormalization"] == fuse.operators(path, level="basic")["BatchNormalization"] == 0
    )
    with pytest.raises(ValueError, match="no convolution whose BatchNorm"):
        fuse.unfolded(folded, torch.nn.Sequential(torch.nn.ReLU()), tmp_path / "none.onnx")
