"""The networks of the case study: one grey 96x96 tile in, seven logits out.

Every network is a `Classifier`: normalisation first, then a body of the torchvision family with a one-channel stem and
seven outputs. Normalisation is a module of the network, not of the caller, so that an exported file takes the same raw
pixels (0..255) as the PyTorch module and no runtime can forget or repeat it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from cvprod.surface import CLASSES, INPUT_SIZE

BASELINE = "resnet18"
INPUT_SHAPE = (1, INPUT_SIZE, INPUT_SIZE)

# Mid-grey and half the usable contrast. Powers of two, so that float16 and bfloat16 hold them (and every pixel value)
# exactly: rounding the weights never changes what the network sees.
PIXEL_MEAN, PIXEL_SCALE = 128.0, 64.0


class UnknownNetworkError(ValueError):
    """A network was asked for by a name that nobody registered."""


class Normalise(nn.Module):
    """Raw pixels to roughly [-2, 2]: `(x - 128) / 64`.

    Input: any dtype, values 0..255. Output: the module's own dtype (float32; float16 after `.half()`), same shape.
    The constants are buffers, so they travel in the weights file: weights can never meet other constants than the ones
    they were trained with.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(PIXEL_MEAN))
        self.register_buffer("scale", torch.tensor(PIXEL_SCALE))

    def forward(self, x: Tensor) -> Tensor:
        return (x.to(self.mean.dtype) - self.mean) / self.scale


class Classifier(nn.Module):
    """`Normalise`, then `body`: (N, 1, 96, 96) uint8 or float pixels 0..255 -> (N, 7) float32 logits."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.normalise = Normalise()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self.normalise(x))


def grey_stem(body: nn.Module) -> nn.Module:
    """Replace the first convolution (three input channels) by the same one with a single input channel; in place."""
    for name, module in body.named_modules():
        if isinstance(module, nn.Conv2d):
            stem = nn.Conv2d(
                1,
                module.out_channels,
                module.kernel_size,
                stride=module.stride,
                padding=module.padding,
                bias=module.bias is not None,
            )
            nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")
            parent, _, leaf = name.rpartition(".")
            setattr(body.get_submodule(parent), leaf, stem)
            return body
    raise ValueError(f"{type(body).__name__} has no convolution, so it has no stem to replace")


def quick_batchnorm(body: nn.Module, momentum: float = 0.1) -> nn.Module:
    """Give every BatchNorm PyTorch's usual momentum; in place.

    MobileNetV3 comes with 0.01, tuned for hundreds of thousands of ImageNet steps. In a training of
    a few thousand steps its running statistics would still remember the initial values, and evaluation would fail.
    """
    for module in body.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = momentum
    return body


Builder = Callable[[], nn.Module]
_BUILDERS: dict[str, Builder] = {}  # every name that `build` knows


def register(name: str, builder: Builder) -> None:
    """Make `builder` (no arguments -> untrained `Classifier`) known under `name`, which also names its weights file.

    `cvprod.optimize` adds its students this way. Registering the same builder again is harmless; another builder under
    a taken name is a ValueError, for it would load one network's weights into another.
    """
    if not name.isidentifier():
        raise ValueError(f"network name {name!r} must be a Python identifier: it names files and commands")
    if _BUILDERS.get(name, builder) is not builder:
        raise ValueError(f"network name {name!r} is already taken by {_BUILDERS[name]}")
    _BUILDERS[name] = builder


def build(name: str) -> nn.Module:
    """An untrained network, in training mode, float32. Raises UnknownNetworkError, which lists the known names."""
    if name not in _BUILDERS:
        raise UnknownNetworkError(
            f"unknown network {name!r}; known: {', '.join(sorted(_BUILDERS))}. "
            "A network of cvprod.optimize is known once cvprod.optimize has been imported."
        )
    return _BUILDERS[name]()


def _from_torchvision(name: str) -> Builder:
    def builder() -> nn.Module:
        from . import bodies  # here: torchvision takes longer to import than a student takes to load

        return Classifier(quick_batchnorm(grey_stem(getattr(bodies, name)(num_classes=len(CLASSES)))))

    return builder


# The Pareto set: a plain ResNet as the baseline, its small brother, and three families built for phones.
for _name in ("resnet18", "resnet10_half", "squeezenet1_1", "shufflenet_v2_x0_5", "mobilenet_v3_small"):
    register(_name, _from_torchvision(_name))

#: The networks of this package, name -> builder. All are shipped: chapter 1 loads every name. What other packages
#: register later can be built, but is not listed here, for its weights lie elsewhere.
NETWORKS: dict[str, Builder] = dict(_BUILDERS)
