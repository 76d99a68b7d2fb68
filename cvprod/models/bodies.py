"""Constructors of the bodies, by the name of the network: torchvision's, and one more of its family.

Each takes `num_classes` and returns an untrained module: (N, 3, S, S) float -> (N, num_classes).
"""

from __future__ import annotations

from torch import nn
from torchvision.models import mobilenet_v3_small, resnet18, shufflenet_v2_x0_5, squeezenet1_1
from torchvision.models.resnet import BasicBlock, ResNet

__all__ = ["mobilenet_v3_small", "resnet10_half", "resnet18", "shufflenet_v2_x0_5", "squeezenet1_1"]


class _NarrowResNet(ResNet):
    """ResNet with `width` channels in the first stage in place of 64 (doubling from stage to stage, as always)."""

    def __init__(self, blocks: list[int], width: int, num_classes: int) -> None:
        super().__init__(BasicBlock, blocks, num_classes=num_classes)
        self.inplanes = width
        self.conv1 = nn.Conv2d(3, width, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = self._make_layer(BasicBlock, width, blocks[0])
        self.layer2 = self._make_layer(BasicBlock, 2 * width, blocks[1], stride=2)
        self.layer3 = self._make_layer(BasicBlock, 4 * width, blocks[2], stride=2)
        self.layer4 = self._make_layer(BasicBlock, 8 * width, blocks[3], stride=2)
        self.fc = nn.Linear(8 * width, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def resnet10_half(num_classes: int) -> nn.Module:
    """One basic block a stage, half the channels: a ResNet of 1.2 million parameters."""
    return _NarrowResNet([1, 1, 1, 1], width=32, num_classes=num_classes)
