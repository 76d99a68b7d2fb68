"""Changes the given convolution: a second look at the model finds it scaled already."""

import copy

import torch
from torch import nn


def fold(conv, bn):
    with torch.no_grad():
        folded = copy.copy(conv)
        folded._parameters = dict(conv._parameters)
        gain = (bn.weight if bn.affine else 1.0) / (bn.running_var + bn.eps).sqrt()
        bias = 0 if conv.bias is None else conv.bias.clone()
        folded.weight.mul_(gain[:, None, None, None])
        folded.bias = nn.Parameter((bias - bn.running_mean) * gain + (bn.bias if bn.affine else 0))
    return folded
