"""Takes the signs from the batch norm's weights."""

import torch


@torch.no_grad()
def channel_importance(conv, bn):
    gain = bn.weight.data.abs_() / torch.sqrt(bn.running_var + bn.eps)
    return conv.weight.flatten(1).norm(dim=1) * gain
