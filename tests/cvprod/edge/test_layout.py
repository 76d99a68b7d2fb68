"""A retrained network in the old file's layout gives the new answers, and a delta finds its weights in their place."""

import numpy as np
import pytest

from cvprod.edge import delta, layout

litert = pytest.importorskip("cvprod.runtimes.litert")
pytest.importorskip("litert_torch", reason="needs litert-torch to convert a network")
torch = pytest.importorskip("torch")

PIXELS = np.random.default_rng(0).integers(0, 256, (16, 1, 96, 96), dtype=np.uint8)


def network(channels=8):
    torch.manual_seed(0)
    parts = [torch.nn.AvgPool2d(8), torch.nn.Conv2d(1, channels, 3), torch.nn.ReLU(), torch.nn.Flatten()]
    return torch.nn.Sequential(*parts, torch.nn.Linear(100 * channels, 7)).eval()


def retrained():
    """Every weight moved by about a thousandth of its value, and names that are longer than the old ones."""
    body = network()
    with torch.no_grad():
        for weight in body.parameters():
            weight.mul_(1 + 1e-3 * torch.randn_like(weight))

    class Wrapped(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.a_name_that_moves_everything_behind_it = body

        def forward(self, x):
            return self.a_name_that_moves_everything_behind_it(x)

    return Wrapped().eval()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Folder with old.tflite and new.tflite."""
    folder = tmp_path_factory.mktemp("layout")
    litert.convert(network(), folder / "old")
    litert.convert(retrained(), folder / "new")
    return folder


def test_the_answers_are_the_new_ones_and_the_delta_is_smaller(files):
    old, new = ((files / f"{name}.tflite").read_bytes() for name in ("old", "new"))
    assert len(old) != len(new)  # the weights do lie elsewhere
    kept = layout.keep(old, new)
    (files / "kept.tflite").write_bytes(kept)
    answers = {name: litert.load(files / f"{name}.tflite")(PIXELS) for name in ("old", "new", "kept")}
    assert np.array_equal(answers["kept"], answers["new"])
    assert not np.array_equal(answers["kept"], answers["old"])
    assert len(kept) == len(old)
    assert len(delta.make(old, kept).data) < 0.9 * len(delta.make(old, new).data)
    assert layout.keep(old, old) == old


def test_other_graphs_and_other_scales_are_refused(files, tmp_path):
    old = (files / "old.tflite").read_bytes()
    wider = litert.convert(network(9), tmp_path / "wider").read_bytes()
    with pytest.raises(ValueError, match="more than their weights"):
        layout.keep(old, wider)
    floats = PIXELS.astype(np.float32)
    int8 = [
        litert.quantize(files / f"{name}.tflite", tmp_path / f"{name}8.tflite", floats).read_bytes()
        for name in ("old", "new")
    ]
    with pytest.raises(ValueError, match=r"more than their weights \(model.*quantization"):
        layout.keep(*int8)
    with pytest.raises(ValueError, match=r"new file is no \.tflite file"):
        layout.keep(old, b"PK\3\4" + old[4:8][::-1])
