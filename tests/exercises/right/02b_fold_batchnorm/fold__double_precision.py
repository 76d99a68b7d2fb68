"""Computes the constants in float64 and keeps every option through deepcopy."""

import copy

import torch
from torch import nn


def fold(conv, bn):
    new = copy.deepcopy(conv)
    gamma = bn.weight.detach() if bn.weight is not None else torch.ones(bn.num_features)
    beta = bn.bias.detach() if bn.bias is not None else torch.zeros(bn.num_features)
    gain = gamma.double() / (bn.running_var.double() + bn.eps) ** 0.5
    old = torch.zeros(bn.num_features) if conv.bias is None else conv.bias.detach()
    new.weight = nn.Parameter((conv.weight.detach().double() * gain.view(-1, 1, 1, 1)).float())
    new.bias = nn.Parameter(((old - bn.running_mean) * gain + beta).float())
    return new
