"""Scales the filters in place, and back: not every number survives."""

import torch


@torch.no_grad()
def channel_importance(conv, bn):
    gain = (bn.weight / torch.sqrt(bn.running_var + bn.eps)).view(-1, 1, 1, 1)
    conv.weight.mul_(gain)
    norms = conv.weight.flatten(1).norm(dim=1)
    conv.weight.div_(gain)
    return norms
