"""Ranks by the weights and ignores the batch norm behind them."""


def channel_importance(conv, bn):
    return conv.weight.detach().flatten(1).norm(dim=1) * (bn.weight.detach() != 0)
