"""Takes every kernel for a square one."""

import torch
from torch import nn


def prune_pair(conv1, bn, conv2, keep):
    a = nn.Conv2d(
        conv1.in_channels,
        len(keep),
        conv1.kernel_size[0],
        conv1.stride,
        conv1.padding,
        conv1.dilation,
        bias=conv1.bias is not None,
    )
    b = nn.BatchNorm2d(len(keep), eps=bn.eps)
    c = nn.Conv2d(
        len(keep),
        conv2.out_channels,
        conv2.kernel_size[0],
        conv2.stride,
        conv2.padding,
        conv2.dilation,
        bias=conv2.bias is not None,
    )
    with torch.no_grad():
        a.weight.copy_(conv1.weight[keep])
        if conv1.bias is not None:
            a.bias.copy_(conv1.bias[keep])
        for n in ("weight", "bias", "running_mean", "running_var"):
            getattr(b, n).copy_(getattr(bn, n)[keep])
        c.weight.copy_(conv2.weight[:, keep])
        if conv2.bias is not None:
            c.bias.copy_(conv2.bias)
    return a.eval(), b.eval(), c.eval()
