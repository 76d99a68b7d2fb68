"""Scales the filters, then takes their norm."""

import torch


@torch.no_grad()
def channel_importance(conv, bn):
    folded = conv.weight * (bn.weight / torch.sqrt(bn.running_var + bn.eps)).view(-1, 1, 1, 1)
    return (folded**2).sum(dim=(1, 2, 3)).sqrt()
