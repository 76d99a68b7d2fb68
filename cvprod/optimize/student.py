"""The student: a residual network drawn for a CPU with INT8 dot products.

Three choices, each measured in chapter 2:

* dense 3x3 convolutions, no depthwise ones: a depthwise layer does too little arithmetic a byte to keep a dot-product
  unit busy, and gets *slower* when quantised;
* widths in multiples of 8, so that a vector register is filled;
* space to depth before the first convolution: 96x96x1 becomes 24x24x16, because a convolution over a single input
  channel spends its time on moving pixels.
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


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut; (N, inputs, S, S) -> (N, outputs, S / stride, S / stride)."""

    def __init__(self, inputs: int, hidden: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.reduce = conv_bn(inputs, hidden, stride=stride)
        self.expand = conv_bn(hidden, outputs)
        same = inputs == outputs and stride == 1
        self.skip = nn.Identity() if same else conv_bn(inputs, outputs, kernel=1, stride=stride)
        # Two modules, not one used twice: quantisers recognise conv + relu by the module that it came from.
        self.inner_relu, self.relu = nn.ReLU(), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.inner_relu(self.reduce(x))
        return self.relu(self.expand(y) + self.skip(x))


def student(
    stem: int = 32, hidden: Sequence[int] = (32, 64, 128), outputs: Sequence[int] = (32, 64, 128)
) -> Classifier:
    """An untrained student: (N, 1, 96, 96) pixels 0..255 -> (N, 7) logits.

    stem: channels after the first convolution. hidden, outputs: channels inside and after each block; every block
    after the first halves the side, so three blocks work at 24, 12 and 6 pixels.
    Raises ValueError when hidden and outputs differ in length.
    """
    if len(hidden) != len(outputs) or not outputs:
        raise ValueError(f"every block needs a hidden and an output width: got {tuple(hidden)}, {tuple(outputs)}")
    blocks, inputs = [], stem
    for index, (inner, outer) in enumerate(zip(hidden, outputs, strict=True)):
        blocks.append(Block(inputs, inner, outer, stride=1 if index == 0 else 2))
        inputs = outer
    body = nn.Sequential()
    body.add_module("patches", nn.PixelUnshuffle(PATCH))
    body.add_module("stem", conv_bn(PATCH**2, stem))
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
