"""Keeps the sign of gamma, so strong negative channels are cut first."""


def channel_importance(conv, bn):
    gain = bn.weight.detach() / (bn.running_var + bn.eps).sqrt()
    return (conv.weight.detach().flatten(1).norm(dim=1) * gain).relu() + 1e-9 * (gain != 0)
