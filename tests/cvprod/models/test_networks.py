"""Every network keeps the one promise that the rest of the book builds on: raw pixels in, seven logits out."""

import numpy as np
import pytest
import torch
from torch import nn

from cvprod.models import (
    BASELINE,
    NETWORKS,
    Normalise,
    UnknownNetworkError,
    build,
    register,
)
from cvprod.models.networks import grey_stem
from cvprod.surface import CLASSES

SHIPPED_HERE = [
    "resnet18",
    "resnet10_half",
    "squeezenet1_1",
    "shufflenet_v2_x0_5",
    "mobilenet_v3_small",
]


@pytest.fixture(scope="module", params=SHIPPED_HERE)
def network(request):
    torch.manual_seed(0)
    return build(request.param).eval()


def pixels(n=2, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (n, 1, 96, 96), dtype=np.uint8))


def test_at_least_five_networks_and_the_baseline_among_them():
    assert set(SHIPPED_HERE) <= set(NETWORKS)
    assert BASELINE in SHIPPED_HERE and len(SHIPPED_HERE) >= 5


def test_bytes_and_floats_give_the_same_logits(network):
    x = pixels()
    with torch.inference_mode():
        from_bytes, from_floats = network(x), network(x.float())
    assert from_bytes.shape == (2, len(CLASSES)) and from_bytes.dtype == torch.float32
    assert torch.equal(from_bytes, from_floats)
    assert not torch.equal(from_bytes[0], from_bytes[1])  # the answer depends on the picture


def test_a_tile_is_judged_by_itself(network):
    x = pixels(4)
    with torch.inference_mode():
        torch.testing.assert_close(network(x)[2:3], network(x[2:3]), rtol=1e-3, atol=1e-4)


def test_exports_with_any_batch_size_and_byte_input(network):
    batch = torch.export.Dim("batch", min=1, max=256)
    program = torch.export.export(network, (pixels(2),), dynamic_shapes=({0: batch},))
    x = pixels(3, seed=1)
    with torch.inference_mode():
        torch.testing.assert_close(program.module()(x), network(x), rtol=1e-3, atol=1e-4)


def test_batchnorm_learns_within_a_short_training(network):
    momenta = {m.momentum for m in network.modules() if isinstance(m, nn.BatchNorm2d)}
    assert momenta <= {0.1}


def test_normalisation_survives_half_precision_exactly():
    x = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    full = Normalise()(x)
    assert full.min() == -2 and full[x == 128] == 0
    assert torch.equal(Normalise().half()(x).float(), full)
    assert torch.equal(Normalise().bfloat16()(x).float(), full)


def test_grey_stem_keeps_everything_but_the_input_channels():
    body = nn.Sequential(nn.Sequential(nn.Conv2d(3, 8, 5, stride=2, padding=2)), nn.Conv2d(8, 4, 1))
    grey_stem(body)
    stem = body[0][0]
    assert (stem.in_channels, stem.out_channels, stem.kernel_size, stem.stride, stem.padding) == (
        1, 8, (5, 5), (2, 2), (2, 2),
    )  # fmt: skip
    assert body[1].in_channels == 8
    with pytest.raises(ValueError, match="no convolution"):
        grey_stem(nn.Sequential(nn.Linear(2, 2)))


def test_unknown_network_lists_the_known():
    with pytest.raises(UnknownNetworkError, match=r"resnet81.*resnet18"):
        build("resnet81")


def test_registering(monkeypatch):
    monkeypatch.setattr("cvprod.models.networks._BUILDERS", dict(NETWORKS))

    def builder():
        return nn.Flatten()

    register("probe", builder)
    register("probe", builder)  # importing a module twice must not fail
    assert isinstance(build("probe"), nn.Flatten)
    with pytest.raises(ValueError, match="already taken"):
        register("probe", nn.Identity)
    with pytest.raises(ValueError, match="identifier"):
        register("no/slash", builder)
