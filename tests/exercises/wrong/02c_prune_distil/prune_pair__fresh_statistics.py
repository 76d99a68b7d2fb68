"""Copies the batch norm's weight and bias, but not its running statistics."""

import torch
from torch import nn


def prune_pair(conv1, bn, conv2, keep):
    new1 = nn.Conv2d(
        conv1.in_channels, len(keep), conv1.kernel_size, conv1.stride, conv1.padding, bias=conv1.bias is not None
    )
    new_bn = nn.BatchNorm2d(len(keep), eps=bn.eps)
    new2 = nn.Conv2d(
        len(keep), conv2.out_channels, conv2.kernel_size, conv2.stride, conv2.padding, bias=conv2.bias is not None
    )
    with torch.no_grad():
        new1.weight.copy_(conv1.weight[keep])
        if new1.bias is not None:
            new1.bias.copy_(conv1.bias[keep])
        for name in ("weight", "bias"):
            getattr(new_bn, name).copy_(getattr(bn, name)[keep])
        new2.weight.copy_(conv2.weight[:, keep])
        if conv2.bias is not None:
            new2.bias.copy_(conv2.bias)
    return new1.eval(), new_bn.eval(), new2.eval()
