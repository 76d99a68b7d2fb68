"""The student: a residual network drawn for a CPU with INT8 dot products.

Three choices, each measured in chapter 2:

* dense 3x3 convolutions, no depthwise ones: a depthwise layer does too little arithmetic a byte to keep a dot-product
  unit busy, and gains little from INT8;
* widths in multiples of 8, so that a vector register is filled;
* space to depth before the first convolution: 96x96x1 becomes 24x24x16, so that no convolution works at full size.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from cvprod.models.networks import Classifier
from cvprod.surface import CLASSES

PATCH = 4  # side of the squares that space-to-depth turns into channels


def conv_bn(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution without bias (the batch norm has one), then batch norm."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


def depthwise_bn(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """A 3x3 filter for each channel, then a 1x1 convolution that mixes the channels, as phones' networks have it."""
    filters = nn.Conv2d(inputs, inputs, 3, stride, padding=1, groups=inputs, bias=False)
    return nn.Sequential(filters, nn.BatchNorm2d(inputs), nn.ReLU(), *conv_bn(inputs, outputs, kernel=1))


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut; (N, inputs, S, S) -> (N, outputs, S / stride, S / stride)."""

    def __init__(self, inputs: int, hidden: int, outputs: int, stride: int, *, depthwise: bool = False) -> None:
        super().__init__()
        make = depthwise_bn if depthwise else conv_bn
        self.reduce = make(inputs, hidden, stride=stride)
        self.expand = make(hidden, outputs)
        same = inputs == outputs and stride == 1
        self.skip = nn.Identity() if same else conv_bn(inputs, outputs, kernel=1, stride=stride)
        # Two modules, not one used twice: quantisers recognise conv + relu by the module that it came from.
        self.inner_relu, self.relu = nn.ReLU(), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.inner_relu(self.reduce(x))
        return self.relu(self.expand(y) + self.skip(x))


def student(
    stem: int = 32,
    hidden: Sequence[int] = (32, 64, 128),
    outputs: Sequence[int] = (32, 64, 128),
    *,
    depthwise: bool = False,
    unshuffle: bool = True,
) -> Classifier:
    """An untrained student: (N, 1, 96, 96) pixels 0..255 -> (N, 7) logits.

    stem: channels after the first convolution. hidden, outputs: channels inside and after each block; every block
    after the first halves the side, so three blocks work at 24, 12 and 6 pixels. depthwise, unshuffle=False: what it is
    raced against: blocks of depthwise layers; a usual stem of two 3x3 convolutions with stride 2 in place of
    space-to-depth.
    Raises ValueError when hidden and outputs differ in length.
    """
    if len(hidden) != len(outputs) or not outputs:
        raise ValueError(f"every block needs a hidden and an output width: got {tuple(hidden)}, {tuple(outputs)}")
    blocks, inputs = [], stem
    for index, (inner, outer) in enumerate(zip(hidden, outputs, strict=True)):
        blocks.append(Block(inputs, inner, outer, stride=1 if index == 0 else 2, depthwise=depthwise))
        inputs = outer
    body = nn.Sequential()
    usual = nn.Sequential(*conv_bn(1, PATCH**2, stride=2), nn.ReLU())
    body.add_module("patches", nn.PixelUnshuffle(PATCH) if unshuffle else usual)
    body.add_module("stem", conv_bn(PATCH**2, stem, stride=1 if unshuffle else 2))
    body.add_module("relu", nn.ReLU())
    body.add_module("blocks", nn.Sequential(*blocks))
    body.add_module("pool", nn.AdaptiveAvgPool2d(1))
    body.add_module("flatten", nn.Flatten())
    body.add_module("head", nn.Linear(inputs, len(CLASSES)))
    return Classifier(body)


def widths(model: Classifier) -> dict:
    """The arguments with which `student` builds a network of this one's shape, read from its layers."""
    blocks = model.body.blocks
    return {
        "stem": model.body.stem[0].out_channels,
        "hidden": tuple(block.reduce[0].out_channels for block in blocks),
        "outputs": tuple(block.expand[0].out_channels for block in blocks),
    }
