"""Networks that are not the book's, with random weights: what the sections "On your own model" run.

Time and parity need no training. Put a factory of your own in their place: no arguments, an nn.Module, or an nn.Module
with an example input. Nothing is downloaded.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

#: Side of the pictures that most networks of torchvision are made for.
SIDE = 224


def _seeded(factory, *arguments, settle: bool = False, **options) -> nn.Module:
    """A network of random weights, the same at every call. settle: its batch norms see two pictures of noise, without
    which a deep network's values fade away layer by layer."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = factory(*arguments, **options)
        if settle:
            norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
            for norm in norms:
                norm.momentum = 1.0
            with torch.no_grad():
                net.train()(torch.rand(2, 3, SIDE, SIDE))
            for norm in norms:
                norm.momentum = 0.1
        return net.eval()


def resnet18() -> tuple[nn.Module, Tensor]:
    """ResNet-18, RGB, 10 classes."""
    from torchvision.models import resnet18 as build

    return _seeded(build, num_classes=10, settle=True), torch.zeros(1, 3, SIDE, SIDE)


def resnet50() -> tuple[nn.Module, Tensor]:
    """ResNet-50, RGB, 1000 classes."""
    from torchvision.models import resnet50 as build

    return _seeded(build, settle=True), torch.zeros(1, 3, SIDE, SIDE)


def mobilenet() -> tuple[nn.Module, Tensor]:
    """MobileNetV2, RGB, 10 classes."""
    from torchvision.models import mobilenet_v2 as build

    return _seeded(build, num_classes=10, settle=True), torch.zeros(1, 3, SIDE, SIDE)


def vit() -> tuple[nn.Module, Tensor]:
    """A vision transformer as large as DeiT-Ti (arXiv:2012.12877): 16 x 16 patches, 192 wide, 12 layers, 1000 classes.

    torchvision's begins with a head of zeros, which answers nothing; this one's is random.
    """
    from torchvision.models import VisionTransformer

    shape = {"num_layers": 12, "num_heads": 3, "hidden_dim": 192, "mlp_dim": 768}
    net = _seeded(VisionTransformer, image_size=SIDE, patch_size=16, **shape)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        nn.init.normal_(net.heads.head.weight, std=0.1)
    return net, torch.zeros(1, 3, SIDE, SIDE)


def ssdlite() -> tuple[nn.Module, Tensor]:
    """SSDLite on MobileNetV3-large, RGB, 320 x 320: boxes, labels and scores after non-maximum suppression."""
    from torchvision.models.detection import ssdlite320_mobilenet_v3_large as build

    return _seeded(build, weights=None, weights_backbone=None, num_classes=8), torch.zeros(1, 3, 320, 320)
