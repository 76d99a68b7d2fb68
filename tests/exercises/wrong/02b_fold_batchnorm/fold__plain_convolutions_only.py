"""Builds the new convolution from its sizes and forgets groups and dilation."""

import torch
from torch import nn


def fold(conv, bn):
    folded = nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding)
    with torch.no_grad():
        gain = (bn.weight if bn.affine else 1.0) / (bn.running_var + bn.eps).sqrt()
        bias = 0 if conv.bias is None else conv.bias
        folded.weight.copy_(conv.weight * gain[:, None, None, None])
        folded.bias.copy_((bias - bn.running_mean) * gain + (bn.bias if bn.affine else 0))
    return folded
