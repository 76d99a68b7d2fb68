"""Divides by the variance, not by its root."""


def channel_importance(conv, bn):
    return conv.weight.detach().flatten(1).norm(dim=1) * bn.weight.detach().abs() / (bn.running_var + bn.eps)
