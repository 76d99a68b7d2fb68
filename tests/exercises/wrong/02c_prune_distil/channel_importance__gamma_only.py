"""Ranks by the batch norm's weight and ignores filters and variance."""


def channel_importance(conv, bn):
    return bn.weight.detach().abs()
