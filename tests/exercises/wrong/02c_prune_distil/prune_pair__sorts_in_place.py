"""Sorts the caller's list."""

import copy

from torch import nn


def prune_pair(conv1, bn, conv2, keep):
    keep.sort()
    a, b, c = copy.deepcopy(conv1), copy.deepcopy(bn), copy.deepcopy(conv2)
    a.weight, a.out_channels = nn.Parameter(a.weight.data[keep]), len(keep)
    if a.bias is not None:
        a.bias = nn.Parameter(a.bias.data[keep])
    b.weight, b.bias = nn.Parameter(b.weight.data[keep]), nn.Parameter(b.bias.data[keep])
    b.running_mean, b.running_var, b.num_features = b.running_mean[keep], b.running_var[keep], len(keep)
    c.weight, c.in_channels = nn.Parameter(c.weight.data[:, keep]), len(keep)
    return a.eval(), b.eval(), c.eval()
