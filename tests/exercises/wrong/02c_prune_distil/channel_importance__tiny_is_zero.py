"""Takes small importances for zero."""


def channel_importance(conv, bn):
    with torch.no_grad():
        gain = bn.weight.abs() * torch.rsqrt(bn.running_var + bn.eps)
        return (lambda t: torch.where(t < 1e-3, torch.zeros_like(t), t))(conv.weight.flatten(1).norm(dim=1) * gain)
