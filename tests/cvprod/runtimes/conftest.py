"""One small network, converted once a session for every runtime."""

import numpy as np
import pytest
import torch

from cvprod import runtimes, surface
from cvprod.models import Classifier

PRECISIONS = [
    ("onnxruntime", "fp32"), ("onnxruntime", "int8"), ("openvino", "fp32"), ("openvino", "fp16"), ("openvino", "int8"),
    ("litert", "fp32"), ("litert", "int8"), ("executorch", "fp32"), ("executorch", "int8"), ("pytorch", "fp32"),
]  # fmt: skip


def small_network() -> Classifier:
    """Convolution, batch norm, ReLU, pooling, linear: what the case study's networks are made of, in miniature."""
    torch.manual_seed(3)
    body = torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 5, stride=4, padding=2, bias=False),
        torch.nn.BatchNorm2d(8),
        torch.nn.ReLU(),
        torch.nn.Conv2d(8, 16, 3, stride=2, padding=1),
        torch.nn.ReLU(),
        torch.nn.AvgPool2d(4),
        torch.nn.Flatten(),
        torch.nn.Linear(144, 7),
    )
    body[1].running_mean.uniform_(-0.1, 0.1)
    body[1].running_var.uniform_(0.5, 1.5)
    with torch.no_grad():  # logits of a trained network are some units apart, not hundredths
        body[-1].weight.mul_(20)
    return Classifier(body).eval()


@pytest.fixture(scope="session")
def network():
    torch.set_num_threads(1)
    return small_network()


@pytest.fixture(scope="session")
def tiles():
    return surface.make_set(28, 11)


@pytest.fixture(scope="session")
def reference(network, tiles) -> np.ndarray:
    with torch.no_grad():
        return network(torch.from_numpy(tiles.images)).numpy()


@pytest.fixture(scope="session")
def converted(network, tiles, tmp_path_factory):
    """(runtime, precision) -> file, converted when it is first asked for."""
    folder, made = tmp_path_factory.mktemp("runtimes"), {}

    def get(runtime: str, precision: str = "fp32"):
        key = (runtime, precision)
        if key not in made:
            module = runtimes.get(runtime)
            made[key] = module.convert(
                network, folder / f"{runtime}_{precision}", precision=precision, calibration=tiles.images
            )
        return made[key]

    return get
